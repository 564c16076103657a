"""Who may ask: a Host header that is ours, an Origin that is ours, and headers for the browser.

A page elsewhere can make its own name resolve to 127.0.0.1 (DNS rebinding); the Host header then
still has that name, and we refuse it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = {
    # Scripts and styles from our own files only; charts make their pictures as data: and blob:.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Admission:
    """Lets requests through to `application` if they name this server as their host.

    Args:
        application: what answers them.
        hosts: names that are ours beside localhost and, when listening for others, any address.
        others: whether others than this machine may ask.
    """

    def __init__(self, application: WSGIApplication, hosts: Iterable[str], others: bool) -> None:
        self._application = application
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._others = others

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, or refuse with 403 or 421."""
        host = environ.get("HTTP_HOST", "")
        if not self._is_ours(_name(host)):
            return _refuse(
                start_response,
                "421 Misdirected Request",
                f"tcpwatch does not answer to the name {_name(host)[:100]!r}. Use its address, or "
                "start it with --allow-host NAME.",
            )
        origin = environ.get("HTTP_ORIGIN")
        if origin and origin.partition("://")[2].lower() != host.lower():
            return _refuse(
                start_response,
                "403 Forbidden",
                "this request was made by a page of another origin",
            )
        return self._application(environ, _with_headers(start_response))

    def _is_ours(self, name: str) -> bool:
        if name in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._others or address.is_loopback


def _name(host: str) -> str:
    """Return the host without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _refuse(start_response: StartResponse, status: str, reason: str) -> Iterable[bytes]:
    body = reason.encode()
    start_response(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *HEADERS.items(),
        ],
    )
    return [body]


def _with_headers(start_response: StartResponse) -> StartResponse:
    def start(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        present = {name.lower() for name, _ in headers}
        added = [pair for pair in HEADERS.items() if pair[0].lower() not in present]
        return start_response(status, headers + added, exc_info)

    return start
