"""`make dashboards`: write dashboards/*.json; with --check only say whether they are current."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import accept_loop, connections, process, requests

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
PAGES = {
    "accept-loop": accept_loop,
    "connections": connections,
    "requests": requests,
    "process": process,
}


def written() -> dict[Path, str]:
    """Return each file and what belongs in it."""
    return {
        FOLDER / f"{name}.json": json.dumps(page.build(), cls=JSONEncoder, indent=1) + "\n"
        for name, page in PAGES.items()
    }


def main(arguments: list[str]) -> int:
    """Write or check; exit status 1 if a file is stale."""
    stale = [path for path, text in written().items() if not _is(path, text)]
    for path in stale:
        if arguments[:1] == ["--check"]:
            print(f"{path.name} is not what the program makes; run `make dashboards`")
        else:
            path.write_text(written()[path])
            print(f"wrote {path.relative_to(FOLDER.parent)}")
    return int(bool(stale) and arguments[:1] == ["--check"])


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
