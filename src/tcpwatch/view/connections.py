"""One connection: its span, phases, requests and blocker, in the words of the contract."""

from __future__ import annotations

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
        return peer(self.span.attributes) or f"connection {self.id or self.span.span_id}"

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


def peer(attributes: Attributes) -> str:
    """Return the client's address and port, "" if they are not recorded."""
    address = text(attributes, names.NETWORK_PEER_ADDRESS)
    port = number(attributes, names.NETWORK_PEER_PORT)
    if not address or port is None:
        return address
    return f"[{address}]:{port:.0f}" if ":" in address else f"{address}:{port:.0f}"


def is_named(service: str) -> bool:
    """Say whether somebody gave a service its name: the SDK's own begins with unknown_service."""
    return bool(service) and not service.startswith("unknown_service")


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
