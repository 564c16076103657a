"""One connection again: its span, phases, requests and blocker, joined from what arrived."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tcpwatch import names
from tcpwatch.view.signals import Attributes, Span

_SHORT_AGENT = 24
_LONGEST = 60


@dataclass(frozen=True)
class Stretch:
    """A phase that lasted from `start` to `end`, in seconds since the connection's start."""

    phase: str
    start: float
    end: float


@dataclass(frozen=True)
class Connection:
    """A connection's span with the spans that belong to it, in the order of their start."""

    span: Span
    requests: tuple[Span, ...] = ()
    phase_spans: tuple[Span, ...] = ()
    blocker: Connection | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The kernel's number for the socket, "" if it gave none."""
        return text(self.span.attributes, names.CONNECTION_ID)

    @property
    def peer(self) -> str:
        """The client's address and port, or what stands for it when peers are not recorded."""
        address = text(self.span.attributes, names.NETWORK_PEER_ADDRESS)
        port = number(self.span.attributes, names.NETWORK_PEER_PORT)
        if not address:
            return f"connection {self.id or self.span.span_id}"
        if port is None:
            return address
        return f"[{address}]:{port:.0f}" if ":" in address else f"{address}:{port:.0f}"

    @property
    def agent(self) -> str:
        """What the client called itself, if that is short enough for a sentence."""
        for request in self.requests:
            agent = text(request.attributes, names.USER_AGENT_ORIGINAL)
            if agent and len(agent) <= _SHORT_AGENT:
                return agent
        return ""

    @property
    def asked(self) -> str:
        """Method and path of the first request, with how many more came; "" if none came."""
        if not self.requests:
            return ""
        first = self.requests[0].attributes
        method = text(first, names.HTTP_REQUEST_METHOD) or self.requests[0].name
        path = text(first, names.URL_PATH) or text(first, names.HTTP_ROUTE)
        more = f" and {len(self.requests) - 1} more" if len(self.requests) > 1 else ""
        return _shortened(f"{method} {path}".strip()) + more

    @property
    def status(self) -> int | None:
        """The last response's HTTP status."""
        for request in reversed(self.requests):
            status = number(request.attributes, names.HTTP_RESPONSE_STATUS_CODE)
            if status is not None:
                return int(status)
        return None

    @property
    def outcome(self) -> str:
        """How it ended, in the contract's words."""
        return text(self.span.attributes, names.CONNECTION_OUTCOME)

    @property
    def dispatch(self) -> str:
        """How the server handed it to its handler: inline, thread or process; "" if it did not."""
        return text(self.span.attributes, names.DISPATCH_KIND)

    @property
    def phases(self) -> dict[str, float]:
        """Seconds in each phase, in the order of a connection's life."""
        seconds = {
            phase: number(self.span.attributes, names.PHASE_PREFIX + phase)
            for phase in names.PHASES
        }
        return {phase: spent for phase, spent in seconds.items() if spent is not None}

    @property
    def queue_wait(self) -> float | None:
        """Seconds in the accept queue, None where the kernel does not say."""
        return self.phases.get(names.ACCEPT_QUEUE)

    @property
    def blocked_by(self) -> str:
        """What held it up in the queue, "" if nothing did for long."""
        return text(self.span.attributes, names.BLOCKED_BY_ACTIVITY)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """When each phase was: from the phase spans, else the totals one after another."""
        begin = self.span.start_ns
        if self.phase_spans:
            return tuple(
                Stretch(span.name, (span.start_ns - begin) / 1e9, (span.end_ns - begin) / 1e9)
                for span in self.phase_spans
            )
        stretches: list[Stretch] = []
        at = 0.0
        for phase, seconds in self.phases.items():
            stretches.append(Stretch(phase, at, at + seconds))
            at += seconds
        return tuple(stretches)


def join(spans: Iterable[Span]) -> list[Connection]:
    """Return the connections among `spans`, each with what belongs to it, by their start.

    A request belongs to the connection that is its parent or that it links to, else to the one
    with its `tcpwatch.connection.id`. A blocker is found by the link, else by its id.
    """
    spans = list(spans)
    own = {(span.trace_id, span.span_id): span for span in spans if _is_connection(span)}
    by_id = {
        identity: span
        for span in own.values()
        if (identity := text(span.attributes, names.CONNECTION_ID))
    }
    requests: dict[str, list[Span]] = defaultdict(list)
    phases: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.kind == "SERVER":
            connection = _owner(span, own) or by_id.get(text(span.attributes, names.CONNECTION_ID))
            if connection:
                requests[connection.span_id].append(span)
        elif span.name in names.PHASES and (span.trace_id, span.parent_span_id) in own:
            phases[span.parent_span_id].append(span)
    plain = {
        key: Connection(span, _by_start(requests[span.span_id]), _by_start(phases[span.span_id]))
        for key, span in own.items()
    }
    joined = [_with_blocker(connection, plain, by_id) for connection in plain.values()]
    return sorted(joined, key=lambda connection: connection.span.start_ns)


def text(attributes: Attributes, name: str) -> str:
    """Return an attribute as text that is safe to print, "" if it is absent or no text.

    Whoever connects writes some of these values, and an escape sequence would reach a terminal.
    """
    value = attributes.get(name)
    if not isinstance(value, str) or value.isprintable():
        return value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else "?" for character in value)


def number(attributes: Attributes, name: str) -> float | None:
    """Return an attribute as a number, None if it is absent or no number."""
    value = attributes.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _shortened(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 3] + "..."


def _is_connection(span: Span) -> bool:
    return span.name in (names.SPAN_TCP, names.SPAN_UNIX) and span.scope == names.SCOPE


def _by_start(spans: list[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: span.start_ns))


def _owner(request: Span, own: Mapping[tuple[str, str], Span]) -> Span | None:
    parent = own.get((request.trace_id, request.parent_span_id))
    linked = (own.get((link.trace_id, link.span_id)) for link in request.links)
    return parent or next((span for span in linked if span), None)


def _with_blocker(
    connection: Connection,
    plain: Mapping[tuple[str, str], Connection],
    by_id: Mapping[str, Span],
) -> Connection:
    if not connection.blocked_by:
        return connection
    named = by_id.get(text(connection.span.attributes, names.BLOCKED_BY_CONNECTION_ID))
    keys = [(link.trace_id, link.span_id) for link in connection.span.links]
    keys += [(named.trace_id, named.span_id)] if named else []
    blocker = next((plain[key] for key in keys if key in plain), None)
    return Connection(connection.span, connection.requests, connection.phase_spans, blocker)
