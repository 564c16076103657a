"""What docs/load.md says of the scenarios and their bounds, taken from them."""

from __future__ import annotations

from collections.abc import Callable

import bounds
from scenarios import PORTS, SCENARIOS
from stated import Scenario


def scenarios() -> str:
    """Return a section for each scenario: what it does, and what must then be seen."""
    return "\n".join(_section(name, scenario) for name, scenario in SCENARIOS.items())


def _section(name: str, scenario: Scenario) -> str:
    size = f"{scenario.users} clients"
    if scenario.spawn_rate < scenario.users:
        size += f", {scenario.spawn_rate:g} more each second"
    lines = [
        f"### {name}",
        "",
        f"{scenario.what} On `{scenario.service}`: {size}, {scenario.run_time} s.",
        "",
        "| dashboard | panel | must show | because |",
        "| --- | --- | --- | --- |",
        *(f"| {it.dashboard} | {it.what} | {it.limits} | {it.why} |" for it in scenario.shows),
    ]
    if scenario.alerts:
        lines += ["", f"Alerts: {', '.join(f'`{alert}`' for alert in scenario.alerts)}."]
    return "\n".join([*lines, ""])


def limits() -> str:
    """Return the bounds, a line each."""
    return (
        f"- Whom: this machine, and in the compose network "
        f"{', '.join(f'`{name}`' for name in sorted(bounds.COMPOSE))}.\n"
        f"- How many clients: {bounds.MOST_USERS}.\n"
        f"- How long: {bounds.LONGEST} s.\n"
    )


def services() -> str:
    """Return where each service is found on this machine."""
    return "".join(f"- `{name}`: port {port}\n" for name, port in PORTS.items())


BLOCKS: dict[str, Callable[[], str]] = {
    "scenarios": scenarios,
    "limits": limits,
    "services": services,
}
