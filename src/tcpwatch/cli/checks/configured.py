"""What the environment says: each TCPWATCH_* and OTEL_* variable, and whether it is understood."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from tcpwatch.cli.checks import rules
from tcpwatch.cli.checks.finding import Finding, absent, ok, wrong
from tcpwatch.settings import Settings

_OURS: Final = "TCPWATCH_"
_SETTINGS: Final = {_OURS + setting.name.upper(): setting for setting in fields(Settings)}
_USUAL_INTERVAL: Final = 60_000
_LIVE: Final = 5_000


def check(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the variables of an environment, each on its own, then at what they lead to."""
    given = {name: value for name, value in sorted(environ.items()) if value.strip()}
    ours = {name: value for name, value in given.items() if name.startswith(_OURS)}
    for name, value in ours.items():
        yield _ours(name, value)
    if not ours:
        yield ok(f"{_OURS}*", "none is set: all defaults")
    for name, value in given.items():
        if name.startswith("OTEL_"):
            yield _standard(name, value)
    yield from _consequences(given)


def _ours(name: str, value: str) -> Finding:
    setting = _SETTINGS.get(name)
    if setting is None:
        cure = _meant(name, _SETTINGS) or "unset it; the README has them all"
        return wrong(name, f"{value}: there is no such setting", cure)
    try:
        setting.metadata["convert"](value)
        reason = rules.expected("OTEL_PYTHON_EXCLUDED_URLS", value) if "URLS" in name else ""
    except ValueError as error:
        reason = str(error)
    if reason:
        usual = _default(setting.default)
        return wrong(name, f"{value!r}: expected {reason}", f"correct it, or unset it for {usual}")
    return ok(name, f"{value} ({setting.metadata['meaning']})")


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value == () else f"{value}"


def _standard(name: str, value: str) -> Finding:
    value = rules.shown(name, value)
    if not rules.is_read(name):
        meant = _meant(name, rules.KNOWN)
        return (
            wrong(name, f"{value}: OpenTelemetry has no such variable", meant)
            if meant
            else absent(name, f"{value}: nothing that is known here reads it")
        )
    if reason := rules.expected(name, value):
        return wrong(name, f"{value!r}: expected {reason}", "correct it, or unset it")
    return ok(name, value)


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.85)
    return f"did you mean {near[0]}?" if near else ""


def _consequences(given: Mapping[str, str]) -> Iterator[Finding]:
    """Say what is right in itself and all the same not what somebody wants who calls a doctor."""
    if given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield wrong("watching", "is off: install() patches nothing", "unset OTEL_SDK_DISABLED")
    disabled = given.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {"tcpwatch", "*"} & {name.strip() for name in disabled.split(",")}:
        yield wrong(
            "instrument",
            "opentelemetry-instrument leaves tcpwatch out (OTEL_PYTHON_DISABLED_INSTRUMENTATIONS)",
            "take tcpwatch out of that list, or use tcpwatch run",
        )
    named = "service.name=" in given.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if "OTEL_SERVICE_NAME" not in given and not named:
        yield absent(
            "service", "the telemetry will be of `unknown_service`", "set OTEL_SERVICE_NAME"
        )
    if "OTEL_TRACES_SAMPLER" in given:
        yield ok("sampling", "slow, failed and blocking connections are kept all the same")
    interval = given.get("OTEL_METRIC_EXPORT_INTERVAL", str(_USUAL_INTERVAL)).strip()
    if interval.isdecimal():
        slow = int(interval) > _LIVE
        live = "; for a live view set OTEL_METRIC_EXPORT_INTERVAL=1000" if slow else ""
        yield ok("interval", f"metrics leave every {int(interval) / 1000:g} s{live}")
