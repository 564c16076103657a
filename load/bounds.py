"""Whom we may load, with how many clients, for how long."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

COMPOSE = frozenset({"app", "app-inline", "app-tls", "host.docker.internal"})
"""Names in the network of deploy/compose.yaml."""
MOST_USERS = 500
LONGEST = 600
"""Seconds after which a run is stopped."""


class Refused(ValueError):
    """What was asked for is beyond the bounds; the text says which, and what to do."""


def check(host: str | None, users: int = 0) -> None:
    """Raise Refused unless this is loopback or the compose network, and not too many clients."""
    name = urlsplit(host or "").hostname
    if name is None:
        raise Refused(f"--host is {host!r}; a URL is expected, as in http://127.0.0.1:8000")
    if name not in COMPOSE and not _loopback(name):
        raise Refused(
            f"{name} is neither this machine nor in the compose network, and these scenarios harm "
            "who is loaded. Load a server of your own on 127.0.0.1, or add its name to "
            "COMPOSE in load/bounds.py."
        )
    if users > MOST_USERS:
        raise Refused(too_many(users))


def too_many(users: int) -> str:
    """Return what is said of more clients than there may be."""
    return f"{users} users are more than the {MOST_USERS} of MOST_USERS in load/bounds.py"


def _loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
