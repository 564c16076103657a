"""What a client wrote, as it may leave the process: without secrets, and no longer than needed.

Everything takes time in proportion to the text. A client sends up to 64 kB of it in one line, and
a regular expression that tries again from each character holds the GIL for seconds.
"""

from __future__ import annotations

import functools
import re
from typing import Final
from urllib.parse import unquote_plus, urlsplit

LONGEST: Final = 2048
"""Characters of a client's text in an attribute."""

READ: Final = 4096
"""Characters of a request target that are looked at; what is redacted may become shorter."""

_GONE: Final = "REDACTED"

_SECRET: Final = re.compile(
    r"(?i)pass(?![a-z])|passw|passphrase|passcode|pwd|secret|token|jwt|signature|hmac|"
    r"(?<![a-z])sig(?![a-z])|(?:access|account|api|auth|encryption|master|private|shared|signing)"
    r"[_-]?key|auth(?![a-z])|authorization|bearer|credential|session|sessid|cookie|[cx]srf|assertion|"
    r"samlresponse|code[_-]?verifier|"
    r"(?:(?<![\w-])(?:code|key|sid|ticket)|(?<![a-z])(?:otp|pin))(?=[\s\[\]]*(?:=|$))"
)
"""In the name of a value: that the value is secret. The last line's are too common inside others:
they must be the name, or its last word."""

_USERINFO: Final = re.compile(r"//[^/?#]*@")
_BETWEEN: Final = re.compile(r"([&;,?#/])")
_SHORT: Final = 64
_DEPTH: Final = 3
"""A URL in a query in a query: so many times the text is decoded."""


def redact(query: str) -> str:
    """Return a query string with the values of secret-looking keys replaced by REDACTED.

    A value may be a URL, encoded or not, whose query has secrets or that says who logs in. A secret
    value ends at the next `&`, also for servers that separate by `;`: others do not.
    """
    return "&".join(map(_redacted, query.split("&")))


def redact_path(path: str) -> str:
    """Return a path with the values of secret-looking parameters (`;name=value`) replaced."""
    if not _may_hide(path):
        return path
    return "/".join(map(_redacted, _USERINFO.sub(f"//{_GONE}@", path).split("/")))


def split_target(target: str) -> tuple[str | None, str]:
    """Return path and query of a request target, without secrets and of at most LONGEST characters.

    Of an absolute one (RFC 9112 § 3.2.2) or one that is only an authority (§ 3.2.3) the
    credentials of a user are left out; of the absolute one, all that is not its path.
    """
    path, _, query = target[:READ].partition("?")
    query = query and redact(query)[:LONGEST]
    if path.startswith("/"):
        return redact_path(path)[:LONGEST], query
    if "://" not in path:
        authority, slash, rest = path.partition("/")
        return redact_path(authority.rpartition("@")[2] + slash + rest)[:LONGEST], query
    try:
        return redact_path(urlsplit(path).path or "/")[:LONGEST], query
    except ValueError:  # no URL that anybody could take apart
        return None, query


def _may_hide(text: str) -> bool:
    """Say whether there may be a pair of a name and a value in it, or somebody who logs in."""
    return "=" in text or "%" in text or "@" in text


def _redacted(pair: str) -> str:
    """Return `name=value`, or what else stands between two separators, without secrets."""
    name, equals, value = pair.partition("=")
    if equals and (_is_known_secret if len(name) < _SHORT else _is_secret)(name):
        return f"{name}={_GONE}"
    if not _may_hide(value or name):
        return pair
    decoded = _decoded(pair)
    clean = _cleaned(decoded)
    if clean == decoded:
        return pair
    if decoded == pair:
        return clean
    return f"{name}={_GONE}" if equals else _GONE


def _is_secret(name: str) -> bool:
    """Say whether a name is one of a secret, also if it is encoded."""
    return _SECRET.search(_decoded(name)) is not None


_is_known_secret: Final = functools.lru_cache(1024)(_is_secret)
"""The names in an application's queries are few."""


def _decoded(text: str) -> str:
    for _ in range(_DEPTH):
        if "%" not in text and "+" not in text:
            break
        text = unquote_plus(text)
    return text


def _cleaned(text: str) -> str:
    """Replace the credentials of a URL, and all that follows the first `secret=`."""
    kept: list[str] = []
    for part in _BETWEEN.split(_USERINFO.sub(f"//{_GONE}@", text)):
        names = part.split("=")
        for place, name in enumerate(names[:-1]):
            if _SECRET.search(name):
                kept += "=".join(names[: place + 1]), f"={_GONE}"
                return "".join(kept)
        kept.append(part)
    return "".join(kept)
