"""Whether a connection is sampled is decided once, by its own trace id."""

from __future__ import annotations

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from tcpwatch.emit.contexts import SAMPLED
from tcpwatch.emit.starting import CHILDREN_OF_CONNECTION, Starter
from tcpwatch.emit.tracing import Tracing
from tcpwatch.hub.connection import Connection, Exchange
from tcpwatch.hub.loop import Listener, Loop
from tcpwatch.settings import Settings
from tcpwatch.testing import FakeKernel

LISTENER = Listener(1, "127.0.0.1", 80, "ipv4", "tcp", "test.Server", False, ())
LOW, HIGH = 1, (1 << 64) - 1
"""Trace ids that a ratio of one half takes and does not take."""


@pytest.mark.parametrize("sequence", [1, CHILDREN_OF_CONNECTION + 1])
@pytest.mark.parametrize(("trace_id", "sampled"), [(LOW, SAMPLED), (HIGH, 0)])
def test_the_connections_trace_id_decides(sequence: int, trace_id: int, sampled: int) -> None:
    """Also when its first request without a remote parent is a root of its own."""
    provider = TracerProvider(sampler=TraceIdRatioBased(0.5), shutdown_on_exit=False)
    facts = (0, 1, 0, 0, 9, 1, None, None, None, None, None, trace_id, 2)
    connection = Connection(1, Loop(LISTENER, None, FakeKernel()), 0, 1, facts)

    starter = Starter(Tracing(provider), Settings())
    starter.start(connection, Exchange(sequence, 1, 1), Context(), None)

    assert connection.flags == sampled
