"""The `tcpwatch` command: `main` is its entry point; the commands load when it is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line.

    Raises:
        SystemExit: with the command's exit code; 2 when the extra `view` is not installed; 130
            after Ctrl-C, also while the command is being loaded.
    """
    try:
        from tcpwatch.cli.commands import tcpwatch

        tcpwatch(prog_name="tcpwatch")
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.startswith("tcpwatch"):
            raise
        print(
            f"tcpwatch: the command needs {missing.name}: pip install 'tcpwatch[view]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
