"""Records in the words of the contract."""

from __future__ import annotations

import pytest

from tcpwatch.core.marks import Accepted, Exchanged
from tcpwatch.emit import attributes as words
from tcpwatch.hub.connection import Exchange
from tcpwatch.settings import Settings

ACCEPTED = Accepted(0, 1, None, None, None, 1, ("10.0.0.7", 5), None, "1f", None, None, 1, 2)


def asked(target: str = "/", method: str = "GET", host: str | None = None) -> Exchange:
    """Make an exchange whose head has been read."""
    exchange = Exchange(1, 0, 0)
    exchange.method, exchange.target, exchange.version = method, target, "HTTP/1.1"
    exchange.fields = {"host": host} if host is not None else {}
    return exchange


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        ("a=1&b=2", "a=1&b=2"),
        ("token=abc&x=1", "token=REDACTED&x=1"),
        ("X=1&api_key=s3&y=2", "X=1&api_key=REDACTED&y=2"),
        ("AWSAccessKeyId=AK&Signature=zzz", "AWSAccessKeyId=REDACTED&Signature=REDACTED"),
        ("user.password=p%26q", "user.password=REDACTED"),
        ("sig=a;b=1", "sig=REDACTED"),
        ("next=token", "next=token"),
        ("%70assword=a&%70%61ss=b", "%70assword=REDACTED&%70%61ss=REDACTED"),
        ("PassWord=a&PASSWORD=b&a=b", "PassWord=REDACTED&PASSWORD=REDACTED&a=b"),
        ("token=a;token=b&token=c=d", "token=REDACTED&token=REDACTED"),
        ("oauth=a&jwt=b&private-key=c", "oauth=REDACTED&jwt=REDACTED&private-key=REDACTED"),
        ("author=a&passage=c", "author=a&passage=c"),
    ],
)
def test_values_of_secret_keys_do_not_leave(query: str, redacted: str) -> None:
    """Keys that look secret keep their name and lose their value."""
    found = words.request_attributes(asked("/p?" + query), ACCEPTED, Settings())
    assert (found["url.path"], found["url.query"]) == ("/p", redacted)


def test_a_query_can_be_left_out() -> None:
    """TCPWATCH_URL_QUERY=off."""
    found = words.request_attributes(asked("/?a=1"), ACCEPTED, Settings(url_query=False))

    assert "url.query" not in found


def test_an_invented_method_is_other() -> None:
    """Methods are the client's to invent; the original is on the span only."""
    exchange = asked(method="BREW")

    found = words.request_attributes(exchange, ACCEPTED, Settings())

    assert found["http.request.method"] == "_OTHER"
    assert found["http.request.method_original"] == "BREW"
    assert words.span_name(exchange) == "HTTP"
    assert "BREW" not in words.request_metric_attributes(exchange).values()


@pytest.mark.parametrize(
    ("host", "split"),
    [
        (None, (None, None)),
        ("", (None, None)),
        ("example.org", ("example.org", None)),
        ("example.org:8080", ("example.org", 8080)),
        ("[::1]:5000", ("::1", 5000)),
        ("[::1]", ("::1", None)),
        ("example.org:port", ("example.org", None)),
        ("example.org:9999999", ("example.org", None)),
        ("user:secret@example.org:80", ("example.org", 80)),
        ("user:secret@[::1]", ("::1", None)),
    ],
)
def test_a_host_header_is_split(host: str | None, split: tuple[str | None, int | None]) -> None:
    """Name and port; what is no port is unknown."""
    assert words.split_host(host) == split


def test_the_forwarded_client_is_the_client() -> None:
    """client.address is X-Forwarded-For's first, network.peer.address the socket's."""
    exchange = asked()
    exchange.fields = {"x-forwarded-for": "192.0.2.1, 10.0.0.1"}

    found = words.request_attributes(exchange, ACCEPTED, Settings())

    assert (found["client.address"], found["network.peer.address"]) == ("192.0.2.1", "10.0.0.7")


def test_no_attribute_is_longer_than_a_client_needs() -> None:
    """Of the 64 kB that a client may put into each line, the beginning is told."""
    exchange = asked("/" + "a" * 60_000 + "?" + "a" * 9000, "M" * 60_000)
    exchange.fields = dict.fromkeys(("host", "user-agent", "x-forwarded-for"), "a" * 60_000)
    exchange.version = "HTTP/1." + "0" * 60_000

    for each in (exchange, Exchanged(*exchange.freeze())):
        found = words.request_attributes(each, ACCEPTED, Settings())

        assert max(len(str(value)) for value in found.values()) == 2048
    kept = [value for value in exchange.freeze() if isinstance(value, str)]
    assert sum(map(len, kept)) < 30_000


def test_nothing_unknown_is_reported() -> None:
    """No None and no 0 in the place of what nobody knows."""
    exchange = Exchange(1, 0, 0)
    unknown = Accepted(0, 1, None, None, None, None, None, None, None, None, None, 1, 2)

    found = words.request_attributes(exchange, unknown, Settings())

    assert found == {
        "http.request.method": "_OTHER",
        "url.scheme": "http",
    }


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [(200, None, None), (404, None, None), (503, None, "503"), (500, "KeyError", "KeyError")],
)
def test_an_error_type_is_for_errors(status: int, error: str | None, expected: str | None) -> None:
    """5xx and exceptions have one, the rest has none."""
    exchange = asked()
    exchange.status, exchange.error = status, error

    assert words.error_type(exchange) == expected


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (200, 200, None),
        (503, 503, "503"),
        (999, 999, "999"),
        (1000, None, "_OTHER"),
        (10**20, None, "_OTHER"),
        (-1, -1, None),
        (None, None, None),
    ],
)
def test_a_status_of_more_than_three_digits_is_no_attribute(
    status: int | None, code: int | None, error: str | None
) -> None:
    """An application may pass a client's number on: no integer of OTLP, and a series for each."""
    request = asked()
    request.status = status
    for found in (words.response_attributes(request), words.request_metric_attributes(request)):
        assert found.get("http.response.status_code") == code
        assert found.get("error.type") == error
