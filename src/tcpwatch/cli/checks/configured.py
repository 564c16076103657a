"""What the environment says: TCPWATCH_* and those OTEL_* variables that switch something off."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields

from tcpwatch import settings
from tcpwatch.cli.checks.finding import Finding, absent, ok, wrong
from tcpwatch.settings import Settings

_OURS = "TCPWATCH_"
_KNOWN = {setting.name.upper() for setting in fields(Settings)}
_USUAL_INTERVAL = "60000"


def check(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the variables of an environment."""
    try:
        settings.read(environ)
    except ValueError as error:
        yield wrong("settings", str(error), "correct it, or unset it for the default")
    ours = sorted(name for name in environ if name.startswith(_OURS))
    for name in ours:
        if name.removeprefix(_OURS) in _KNOWN:
            yield ok(name, environ[name])
            continue
        near = difflib.get_close_matches(name.removeprefix(_OURS), _KNOWN, 1)
        cure = f"did you mean {_OURS}{near[0]}?" if near else "unset it; the README has them all"
        yield wrong(name, "there is no such setting", cure)
    if not ours:
        yield ok("settings", "no TCPWATCH_* variable is set: all defaults")
    yield from _opentelemetry(environ)


def _opentelemetry(environ: Mapping[str, str]) -> Iterator[Finding]:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield wrong(
            "OTEL_SDK_DISABLED", "true: install() patches nothing", "unset OTEL_SDK_DISABLED"
        )
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {"tcpwatch", "*"} & {name.strip() for name in disabled.split(",")}:
        yield wrong(
            "instrument",
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={disabled}: opentelemetry-instrument leaves"
            " tcpwatch out",
            "take tcpwatch out of that list, or use tcpwatch run",
        )
    service = environ.get("OTEL_SERVICE_NAME", "").strip()
    if service:
        yield ok("service", service)
    elif "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        yield ok("service", environ["OTEL_RESOURCE_ATTRIBUTES"])
    else:
        yield absent(
            "service", "the telemetry will be of `unknown_service`", "set OTEL_SERVICE_NAME"
        )
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if sampler:
        yield ok(
            "sampler", f"{sampler}; slow, failed and blocking connections are kept all the same"
        )
    interval = environ.get("OTEL_METRIC_EXPORT_INTERVAL", _USUAL_INTERVAL)
    if not interval.strip().isdecimal():
        yield wrong(
            "interval",
            f"OTEL_METRIC_EXPORT_INTERVAL={interval!r}: expected milliseconds",
            "correct it, or unset it for 60000",
        )
    else:
        live = (
            ""
            if int(interval) <= 5000
            else "; for a live view set OTEL_METRIC_EXPORT_INTERVAL=1000"
        )
        yield ok("interval", f"metrics leave every {int(interval) / 1000:g} s{live}")
