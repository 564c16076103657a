"""Runs the servers of tests/apps, and those of this folder, as tests/apps/__main__.py does."""

from __future__ import annotations

import sys

from tests.apps import __main__ as usual


def main() -> None:
    """Add our servers, then do as usual."""
    install = usual.install

    def install_then_add() -> None:
        """Import no server before install(), as the apps of the live tests do."""
        install()
        add()

    if "never" in sys.argv:
        add()
    usual.install = install_then_add
    usual.main()


def add() -> None:
    """Make our servers known by name."""
    from tests.apps.servers import KINDS
    from tests.hard import apps_a_wsgi as wsgi

    KINDS.update(corners=wsgi.corners, passthrough=wsgi.passthrough, debugger=wsgi.debugger)


if __name__ == "__main__":
    main()
