"""The rungs of the ladder and the kinds of server: what is watched, by whom, how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TCPWATCH, FLASK, WSGI = "tcpwatch", "flask", "wsgi"
"""Who watches."""
THREADED, SINGLE, FORKING, HTTP = "threaded", "single", "forking", "http"
"""werkzeug's three servers, with a connection per request; http.server's, which keeps it alive."""
TITLES = {
    THREADED: "threaded werkzeug",
    SINGLE: "single-threaded werkzeug",
    FORKING: "forking werkzeug",
    HTTP: "keep-alive http.server",
}
KINDS = tuple(TITLES)
STABLE = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}


@dataclass(frozen=True)
class Rung:
    """One way to run the same server; `watch` is who watches it, "" for nobody."""

    name: str
    watch: str
    says: str
    environ: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_peer(self) -> bool:
        """Say whether it is somebody else's instrumentation."""
        return self.watch in (FLASK, WSGI)


BARE = Rung("bare", "", "nothing")
AGAIN = Rung("again", "", "nothing, once more: the noise")
OFF = Rung("off", TCPWATCH, "installed, telemetry disabled", {"OTEL_SDK_DISABLED": "true"})
METRICS = Rung("metrics", TCPWATCH, "all metrics, no traces", {"OTEL_TRACES_EXPORTER": "none"})
UNSAMPLED = Rung(
    "unsampled",
    TCPWATCH,
    "all metrics; traces sampled at 0 %",
    {"OTEL_TRACES_SAMPLER": "always_off"},
)
KEEPING = Rung(
    "1%",
    TCPWATCH,
    "all metrics; traces sampled at 1 %, the unusual kept",
    {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
)
EVERYTHING = Rung("100%", TCPWATCH, "all metrics; every connection and request traced")
PEER = Rung("flask", FLASK, "OpenTelemetry Flask: a span and metrics per request", STABLE)
RUNGS = (
    BARE,
    AGAIN,
    OFF,
    METRICS,
    UNSAMPLED,
    KEEPING,
    EVERYTHING,
    PEER,
    Rung("wsgi", WSGI, "OpenTelemetry WSGI: the same as a middleware", STABLE),
)


def rungs_of(kind: str) -> list[Rung]:
    """Return the rungs of a kind of server: the peers know WSGI only."""
    return [rung for rung in RUNGS if kind != HTTP or not rung.is_peer]


def named(names: str) -> list[Rung]:
    """Return the rungs of a list like `bare,100%`, in the ladder's order.

    Raises ValueError with the name that is none.
    """
    wanted = [name.strip() for name in names.split(",")]
    known = {rung.name for rung in RUNGS}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no rung {unknown[0]!r}; there are {', '.join(r.name for r in RUNGS)}")
    return [rung for rung in RUNGS if rung.name in wanted]
