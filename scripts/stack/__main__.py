"""`make stack`: everything of deploy/ on this machine, a burst of load, and what is to be seen.

python -m stack          run it; in a terminal until Ctrl-C
python -m stack build    only build what is missing; exit status 3 if that cannot be done
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from pathlib import Path

from stack import burst, programs
from stack.programs import CannotError
from stack.running import Stack

SERVICES = ("jaeger", "prometheus", "collector", "app", "app-inline", "app-tls")
CANNOT = 3


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    try:
        programs.build_missing()
    except CannotError as why:
        print(f"The stack cannot be built: {why}", file=sys.stderr)
        return CANNOT
    if arguments[:1] != ["build"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        run()
    return 0


def run() -> None:
    """Start, load, tell, wait if somebody is there, and stop."""
    with tempfile.TemporaryDirectory(prefix="tcpwatch-stack-") as folder:
        try:
            with Stack(Path(folder), *SERVICES) as stack:
                tell(stack, Path(folder))
                if sys.stdin.isatty():
                    print("\nIt runs until Ctrl-C.", flush=True)
                    threading.Event().wait()
        except KeyboardInterrupt:
            print()
    print("Stopped; nothing is left behind.")


def tell(stack: Stack, folder: Path) -> None:
    """Say where things are, make load, say what is to be seen."""
    print(f"Server, threaded    {stack.url('app', 8000)}")
    print(f"Server, one thread  {stack.url('app-inline', 8001)}")
    print(f"Server, TLS         https://{stack.address('app-tls', 8443)}")
    print(f"Collector, OTLP     {stack.otlp}")
    print(f"Jaeger's API        {stack.jaeger}/api/v3/services")
    print(f"Prometheus' API     {stack.prometheus}/api/v1/query?query=up")
    print("Their pages are not in their Go modules, nor is Grafana; deploy/compose.yaml has all.\n")
    print("Locust, for half a minute:", flush=True)
    answered = burst.burst(stack, folder)
    print(f"Locust: {answered} requests were answered\n")
    for finding in burst.findings(stack, answered):
        print(finding, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
