"""Every PromQL that the repository ships, and where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
SOURCES = PROVISIONING / "datasources" / "tcpwatch.yaml"
CHOSEN = {
    "$__rate_interval": "1m",
    "$__range": "5m",
    "$service": "shop",
    "$instance": ".*",
    "$listener": ".*",
    "{$$__tags}": '{service_name="$service"}',
}
"""What Grafana puts in for its variables."""


def page(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def choose(expression: str, **chosen: str) -> str:
    """Put in what Grafana puts in; `chosen` goes before."""
    ours = {f"${name}": value for name, value in chosen.items()}
    for variable, value in sorted({**CHOSEN, **ours}.items(), key=lambda item: -len(item[0])):
        expression = expression.replace(variable, value)
    return expression


def of_panels() -> Iterator[tuple[str, str]]:
    """Yield place and query of each panel."""
    for path in DASHBOARDS:
        for panel in page(path)["panels"]:
            for target in panel.get("targets", []):
                if "expr" in target:
                    yield f"{path.stem}: {panel['title']} {target['refId']}", target["expr"]


def of_rules() -> Iterator[tuple[str, str]]:
    """Yield place and query of each rule."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]


def of_links() -> Iterator[tuple[str, str]]:
    """Yield place and query of what Jaeger's data source offers beside a span."""
    for source in yaml.safe_load(SOURCES.read_text())["datasources"]:
        for query in source["jsonData"].get("tracesToMetrics", {}).get("queries", []):
            yield f"{source['name']}: {query['name']}", query["query"]


def everything() -> list[tuple[str, str]]:
    """Return all."""
    return [*of_panels(), *of_rules(), *of_links()]


def selected(expression: str) -> set[str]:
    """Return the names of the series that a query selects; all of ours have braces."""
    return set(re.findall(r"([a-zA-Z_:][\w:]*)\s*\{", expression))


def labels(expression: str) -> set[str]:
    """Return the labels that a query selects or groups by."""
    inside = re.findall(r"\{(.*?)\}", expression, re.DOTALL)
    found = {name for text in inside for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", text)}
    for text in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression):
        found |= {word.strip() for word in text.split(",") if word.strip()}
    return found
