"""Run one server in this process, as the command line says; the test talks to it by `--control`.

Telemetry is installed by the application's own code, at the moment that `--install` names.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tests.apps.control import Control


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--server", default="flask")
    parser.add_argument("--override", default="")
    parser.add_argument("--dispatch", choices=("inline", "thread", "process"), default="thread")
    parser.add_argument("--family", choices=("ipv4", "ipv6", "unix"), default="ipv4")
    parser.add_argument("--path", default="")
    parser.add_argument("--certificate", default="")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--instrument", choices=("flask", "wsgi"))
    parser.add_argument("--install", choices=("first", "listening", "twice", "never"))
    parser.add_argument("--own", choices=("before", "after"))
    parser.add_argument("--own-sigterm", action="store_true")
    parser.add_argument("--serve-in", choices=("main", "daemon"), default="main")
    return parser.parse_args()


def install() -> None:
    """Do what an application does."""
    import tcpwatch

    tcpwatch.install()


def set_own() -> None:
    """Set the application's own providers."""
    from tests.apps.providers import set_own

    set_own()


def main() -> None:
    """Make the server, say where it is, serve."""
    chosen = options()
    control = Control(chosen.control)
    if chosen.own_sigterm:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    if chosen.own == "before":
        set_own()
    if chosen.install in ("first", "twice"):
        install()
    # Imported late: whether a server's class exists before install() is what some tests are about.
    from tests.apps.servers import KINDS, reachable

    server = KINDS[chosen.server](chosen)
    if chosen.install in ("listening", "twice"):
        install()
    if chosen.own == "after":
        set_own()
    leave = threading.Event()
    control.on_leaving("shutdown", server.shutdown)
    control.on_leaving("exit", leave.set)
    if chosen.dispatch == "process":
        control.serve_by_signal()
    else:
        control.serve_by_thread()
    control.say({"address": reachable(server)})
    if chosen.serve_in == "daemon":
        threading.Thread(target=server.serve_forever, daemon=True).start()
        leave.wait()
    else:
        try:
            server.serve_forever(poll_interval=0.05)
        finally:
            server.server_close()


if __name__ == "__main__":
    main()
