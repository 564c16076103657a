"""The Collector dies under load: the application does not notice, the loss is counted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stack import jaeger, prometheus
from stack.jaeger import Span
from stack.running import Stack
from tcpwatch import names
from tests.stack.clients import Load, Made
from tests.stack.metronome import Metronome
from tests.stack.test_explained import TOLERANCE

pytestmark = [pytest.mark.alone, pytest.mark.timeout(150)]
RATE = 40.0
BEFORE, DURING, AFTER = 5.0, 9.0, 12.0
"""Seconds. The SDK gives up a batch after its timeout, so that something is lost for certain."""
HASTY = {
    "OTEL_BSP_MAX_QUEUE_SIZE": "512",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "128",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
}
HELD = 3.0
"""Seconds of spans that are under way when the Collector is killed, in its batch and before it."""
PROCESSED, EXPORTED = (
    "otel_sdk_processor_span_processed_total",
    "otel_sdk_exporter_span_exported_total",
)
SERVICE = 'service_name="shop"'
ENOUGH = 40
"""Requests of which 5 % are more than one."""
QUIET = 2.0
"""Seconds after the last request in which its spans have left the queue."""


def slow(made: list[Made], metronome: Metronome) -> float:
    """Return the latency that 5 % exceed, in seconds, of those who met no processor taken."""
    found = sorted(
        each.seconds
        for each in made
        if not metronome.disturbed(each.since, each.since + each.seconds)
    )
    assert len(found) >= ENOUGH, f"{len(made) - len(found)} requests met a processor that was taken"
    return found[int(len(found) * 0.95)]


def ports(spans: list[Span]) -> set[int]:
    """Return the clients' ports of the connections among these."""
    found = (span for span in spans if span.name == names.SPAN_TCP)
    return {span.attributes[names.NETWORK_PEER_PORT] for span in found}


def counted(stack: Stack, after: float) -> tuple[float, float, float]:
    """Return the SDK's counts of spans: processed, sent, lost; from a sample later than `after`."""
    every = f"sum({PROCESSED}{{{SERVICE}}})"
    newest = f"max(timestamp({PROCESSED}{{{SERVICE}}}))"
    prometheus.wait(stack.prometheus, newest, lambda found: bool(found) and found[0][1] >= after)
    queries = (
        every,
        f'sum({EXPORTED}{{{SERVICE},error_type=""}})',
        f'sum({{__name__=~"{EXPORTED}|{PROCESSED}",{SERVICE},error_type!=""}})',
    )
    answers = [prometheus.query(stack.prometheus, query) for query in queries]
    processed, sent, lost = (found[0][1] if found else 0.0 for found in answers)
    return processed, sent, lost


def test_a_collector_that_dies_is_nobodys_trouble(
    built: None, tmp_path: Path, figures: list[str]
) -> None:
    """Latency stays what it was, each span is sent or counted as lost, telemetry resumes."""
    with Stack(tmp_path, "jaeger", "prometheus", "collector", "app", settings=HASTY) as stack:
        with (
            Metronome() as metronome,
            Load(stack.address("app", 8000), ["/", "/item/1"], RATE) as load,
        ):
            before = load.last(BEFORE)
            killed = load.made[-1].began
            stack.kill("collector")
            during = load.last(DURING)
            stack.start("collector")
            back = load.made[-1].began
            after = load.last(AFTER)
        usual, away, again = (slow(made, metronome) for made in (before, during, after))
        said = (
            f"95 % of requests within {usual * 1e3:.1f} ms before the Collector died, "
            f"{away * 1e3:.1f} ms without it, {again * 1e3:.1f} ms after"
        )
        figures.append(said)
        assert away <= usual + TOLERANCE, said
        assert again <= usual + TOLERANCE, said

        processed, sent, lost_spans = counted(stack, time.time() + QUIET)
        assert processed == sent + lost_spans
        assert lost_spans > 0, "the outage was too short to lose anything, and shows nothing"

        resumed = {made.port for made in load.made if made.began > back + HELD}
        spans = jaeger.wait(stack.jaeger, "shop", lambda spans: resumed <= ports(spans))
        there = ports(spans)
        assert resumed <= there
        missing = [made for made in load.made if made.port not in there]
        died = sent - len(spans)
        figures.append(
            f"{processed:.0f} spans: {lost_spans:.0f} counted as lost, {died:.0f} died with the "
            f"Collector; {len(missing)} of {len(load.made)} connections are missing"
        )
        assert 0 <= died <= HELD * processed / (BEFORE + DURING + AFTER)
        assert 0 < len(missing) <= lost_spans + died
        assert killed - HELD <= min(made.began for made in missing)
        assert max(made.began for made in missing) <= back + HELD
