"""The rungs of the ladder: what is watched, by whom, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TCPWATCH = "tcpwatch"
FLASK = "flask"
WSGI = "wsgi"


@dataclass(frozen=True)
class Rung:
    """One way to run the same server.

    `watch` is who watches it: "" for nobody, TCPWATCH, or one of the peers FLASK and WSGI.
    """

    name: str
    watch: str
    says: str
    environ: Mapping[str, str] = field(default_factory=dict)


BARE = Rung("bare", "", "no instrumentation")
PEER = Rung(
    "flask",
    FLASK,
    "OpenTelemetry Flask: a span and its metrics per request",
    {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
)
RUNGS = (
    BARE,
    Rung("off", TCPWATCH, "installed, telemetry disabled", {"OTEL_SDK_DISABLED": "true"}),
    Rung("metrics", TCPWATCH, "all metrics, no traces", {"OTEL_TRACES_EXPORTER": "none"}),
    Rung(
        "unsampled",
        TCPWATCH,
        "all metrics, traces sampled at 0 %",
        {"OTEL_TRACES_SAMPLER": "always_off"},
    ),
    Rung(
        "1%",
        TCPWATCH,
        "all metrics, traces sampled at 1 %, the unusual kept",
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
    ),
    Rung("100%", TCPWATCH, "all metrics, every connection and request traced"),
    PEER,
    Rung(
        "wsgi",
        WSGI,
        "OpenTelemetry WSGI: the same from a middleware",
        {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
    ),
)


def named(names: str) -> list[Rung]:
    """Return the rungs of a list like `bare,100%`, in the ladder's order.

    Raises ValueError with the name that is none.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {rung.name for rung in RUNGS}
    for name in wanted:
        if name not in known:
            raise ValueError(f"no rung {name!r}; there are {', '.join(known)}")
    return [rung for rung in RUNGS if rung.name in wanted]
