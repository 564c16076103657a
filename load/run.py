"""Start a scenario with its own number of clients and time: `python load/run.py burst --host URL`.

Without a name it lists them. What comes after `--` goes to Locust.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import bounds
from scenarios import PORTS, SCENARIOS
from stated import Scenario

LOCUSTFILE = Path(__file__).resolve().parent / "locustfile.py"


def command(name: str, scenario: Scenario, host: str, *more: str) -> list[str]:
    """Return the words that start it."""
    return [
        *(sys.executable, "-m", "locust", f"--locustfile={LOCUSTFILE}", "--headless"),
        *(f"--scenario={name}", f"--host={host}", f"--users={scenario.users}"),
        *(f"--spawn-rate={scenario.spawn_rate}", f"--run-time={scenario.run_time}s"),
        *("--stop-timeout=40", "--exit-code-on-error=0", *more),
    ]


def here(service: str) -> str:
    """Return where a service of deploy/compose.yaml is published on this machine."""
    return f"{'https' if service == 'app-tls' else 'http'}://127.0.0.1:{PORTS[service]}"


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    more = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=[*SCENARIOS])
    parser.add_argument("--host", help="default: the scenario's service at its port of 127.0.0.1")
    parser.add_argument("--tls-host", help="the server with TLS, where a scenario loads two")
    chosen = parser.parse_args(arguments[: len(arguments) - len(more) - bool(more)])
    if chosen.scenario is None:
        for name, scenario in SCENARIOS.items():
            print(f"{name:13} {scenario.what}")
        return 0
    scenario = SCENARIOS[chosen.scenario]
    host = chosen.host or here(scenario.service)
    tls_host = chosen.tls_host or here("app-tls")
    try:
        bounds.check(host, scenario.users)
        bounds.check(tls_host)
    except bounds.Refused as why:
        print(f"Refused: {why}", file=sys.stderr)
        return 2
    print(f"{chosen.scenario} on {host}: {scenario.what} The dashboards must show:")
    for shown in scenario.shows:
        print(f"  {shown.dashboard}: {shown.what}: {shown.limits} - {shown.why}")
    for alert in scenario.alerts:
        print(f"  alert: {alert}")
    sys.stdout.flush()
    words = command(chosen.scenario, scenario, host, f"--tls-host={tls_host}", *more)
    # In our place: who ends this ends Locust.
    return os.execv(words[0], words)  # noqa: S606 - there is no shell, nor should there be


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
