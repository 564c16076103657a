"""Start a scenario with its own number of clients and time: `python load/run.py burst --host URL`.

Without a name it lists them. What comes after `--` goes to Locust.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import bounds
from scenarios import SCENARIOS, Scenario

LOCUSTFILE = Path(__file__).resolve().parent / "locustfile.py"


def command(name: str, scenario: Scenario, host: str, *more: str) -> list[str]:
    """Return the words that start it."""
    return [
        *(sys.executable, "-m", "locust", f"--locustfile={LOCUSTFILE}", "--headless"),
        *(f"--scenario={name}", f"--host={host}", f"--users={scenario.users}"),
        *(f"--spawn-rate={scenario.spawn_rate}", f"--run-time={scenario.run_time}s"),
        *("--stop-timeout=40", "--exit-code-on-error=0", *more),
    ]


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    more = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=[*SCENARIOS])
    parser.add_argument("--host", help="default: the scenario's service at its port of 127.0.0.1")
    chosen = parser.parse_args(arguments[: len(arguments) - len(more) - bool(more)])
    if chosen.scenario is None:
        for name, scenario in SCENARIOS.items():
            print(f"{name:13} {scenario.what}")
        return 0
    scenario = SCENARIOS[chosen.scenario]
    scheme = "https" if scenario.service == "app-tls" else "http"
    host = chosen.host or f"{scheme}://127.0.0.1:{scenario.port}"
    try:
        bounds.check(host, scenario.users)
    except bounds.Refused as why:
        print(f"Refused: {why}", file=sys.stderr)
        return 2
    print(f"{chosen.scenario} on {host}: {scenario.what} The dashboards must show:")
    for shown in scenario.shows:
        which = f" ({', '.join(shown.series.values())})" if shown.series else ""
        limits = [
            f"{word} {value:g}"
            for word, value in (("at least", shown.at_least), ("at most", shown.at_most))
            if value is not None
        ]
        print(f"  {shown.dashboard}: {shown.panel}{which}: {', '.join(limits)} - {shown.why}")
    for alert in scenario.alerts:
        print(f"  alert: {alert}")
    sys.stdout.flush()
    return subprocess.run(command(chosen.scenario, scenario, host, *more), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
