"""What OpenTelemetry's variables may hold; the SDK takes what it does not understand in silence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from opentelemetry import environment_variables as of_api
from opentelemetry.instrumentation import environment_variables as of_instrumentation
from opentelemetry.sdk import environment_variables as of_sdk

Rule = Callable[[str], str]
"""Takes a value and returns what was expected instead, "" if it is one."""

_SIGNALS: Final = ("traces", "metrics", "logs")


def _switch(value: str) -> str:
    return "" if value.lower() in ("true", "false") else "true or false"


def _milliseconds(value: str) -> str:
    return "" if value.isdecimal() else "milliseconds, a whole number"


def _whole(value: str) -> str:
    return "" if value.isdecimal() else "a whole number"


def _seconds(value: str) -> str:
    return "" if re.fullmatch(r"\d+(\.\d+)?", value) else "seconds"


def _url(value: str) -> str:
    return "" if re.match(r"https?://[^/\s]", value) else "an address with http:// or https://"


def _place(value: str) -> str:
    # gRPC takes a bare host and port as well.
    return "" if not _url(value) or re.fullmatch(r"[^/\s]+:\d+", value) else _url("")


def _pairs(value: str) -> str:
    parts = [part for part in value.split(",") if part.strip()]
    return "" if all("=" in part for part in parts) else "key=value, more of them behind commas"


def _file(value: str) -> str:
    return "" if Path(value).is_file() else "the path of a file that is there"


def _expressions(value: str) -> str:
    try:
        for part in value.split(","):
            re.compile(part.strip())
    except re.error as error:
        return f"regular expressions behind commas ({error})"
    return ""


def _one_of(*words: str) -> Rule:
    return lambda value: "" if value.lower() in words else "one of " + ", ".join(words)


def _installed(group: str, *beside: str) -> Rule:
    """Return a rule for names of entry points, any number behind commas."""

    def rule(value: str) -> str:
        known = {*(entry.name for entry in entry_points(group=group)), *beside}
        asked = [name.strip() for name in value.split(",") if name.strip()]
        return "" if known.issuperset(asked) else "one of " + ", ".join(sorted(known))

    return rule


_OTLP: Final = r"OTEL_EXPORTER_OTLP_(?:(?:TRACES|METRICS|LOGS)_)?"
RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("OTEL_SDK_DISABLED", _switch),
    ("OTEL_RESOURCE_ATTRIBUTES", _pairs),
    ("OTEL_TRACES_SAMPLER", _installed("opentelemetry_traces_sampler")),
    ("OTEL_PROPAGATORS", _installed("opentelemetry_propagator", "none")),
    *(
        (
            f"OTEL_{signal.upper()}_EXPORTER",
            _installed(f"opentelemetry_{signal}_exporter", "otlp", "none"),
        )
        for signal in _SIGNALS
    ),
    (_OTLP + "PROTOCOL", _one_of("http/protobuf", "grpc")),
    (_OTLP + "ENDPOINT", _place),
    (_OTLP + "HEADERS", _pairs),
    (_OTLP + "TIMEOUT", _seconds),
    (_OTLP + "COMPRESSION", _one_of("none", "gzip", "deflate")),
    (_OTLP + "(?:CLIENT_)?(?:CERTIFICATE|KEY)", _file),
    (_OTLP + "INSECURE", _switch),
    (_OTLP + "TEMPORALITY_PREFERENCE", _one_of("cumulative", "delta", "lowmemory")),
    ("OTEL_METRICS_EXEMPLAR_FILTER", _one_of("always_on", "always_off", "trace_based")),
    ("OTEL_METRIC_EXPORT_(?:INTERVAL|TIMEOUT)", _milliseconds),
    ("OTEL_B(?:SP|LRP)_(?:SCHEDULE_DELAY|EXPORT_TIMEOUT)", _milliseconds),
    ("OTEL_B(?:SP|LRP)_MAX_.*", _whole),
    (".*_(?:COUNT|LENGTH)_LIMIT", _whole),
    ("OTEL_PYTHON_(?:FLASK_|WSGI_)?EXCLUDED_URLS", _expressions),
)
"""Patterns of names, each with its rule; the first that fits is it."""

KNOWN: Final = frozenset(
    name
    for module in (of_api, of_sdk, of_instrumentation)
    for name in vars(module)
    if name.startswith("OTEL_")
)
_ALSO_READ: Final = re.compile("OTEL_(?:PYTHON|INSTRUMENTATION|SEMCONV)_.*")
"""Variables of instrumentations and distributions, of which there are too many to know."""


def is_read(name: str) -> bool:
    """Say whether anything reads a variable of this name, as far as can be known."""
    return name in KNOWN or _ALSO_READ.fullmatch(name) is not None


def expected(name: str, value: str) -> str:
    """Return what a variable should hold instead of `value`, "" if that is all right."""
    rules: Iterable[Rule] = (rule for pattern, rule in RULES if re.fullmatch(pattern, name))
    return next(iter(rules), lambda _: "")(value.strip())


def shown(name: str, value: str) -> str:
    """Return a value without what is secret in it: the values of headers, a password in a URL."""
    if name.endswith("_HEADERS"):
        keys = [part.partition("=")[0].strip() for part in value.split(",") if part.strip()]
        return ", ".join(f"{key}=…" for key in keys)
    return re.sub(r"//[^@/\s]*@", "//…@", value)
