"""Draw the README's picture of the loop anew: docs/loop.svg, from a real server and real clients.

python scripts/picture.py
"""

from __future__ import annotations

from pathlib import Path

from tcpwatch.cli.acts import ACTS
from tcpwatch.cli.clients import Door
from tcpwatch.cli.servers import SampleServer
from tcpwatch.view.findings import NOTICEABLE
from tcpwatch.view.queries.servers import servers
from tcpwatch.view.report.paper import svg
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer

OUT = Path(__file__).parents[1] / "docs" / "loop.svg"
PACE = 1.0
STEPS = slice(1, 5)
"""The clients that wait for each other, without those that come by the dozen."""


def main() -> None:
    """Play the steps against a server with one thread, and draw what it told."""
    act = ACTS[0]
    with Store() as store, Viewer(store, port=0) as viewer:
        options = (*act.options, "--pace", str(PACE))
        with SampleServer(act.service, viewer.address, options) as server:
            door = Door(server.port(), timeout=10)
            for step in act.steps(PACE)[STEPS]:
                step.play(door)
        (seen,) = servers(store, NOTICEABLE)
        margin = (seen.last - seen.first) * 0.01
        OUT.write_text(svg(store, seen.server.id, seen.first - margin, seen.last + margin))
    print(f"written: {OUT.relative_to(OUT.parents[1])}")


if __name__ == "__main__":
    main()
