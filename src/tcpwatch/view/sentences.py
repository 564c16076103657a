"""Findings in plain sentences, the most telling first, without a word that needs explaining."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tcpwatch import names
from tcpwatch.view import glossary
from tcpwatch.view.connections import Connection, number
from tcpwatch.view.findings import NOTICEABLE, Blocker, Findings

_DOING = {
    names.IDLE: "which had connected and sent nothing",
    names.TLS_HANDSHAKE: "which had connected and did not start the encryption",
    names.READ_HEAD: "which was slow to send its request",
    names.RESPOND: "which was slow to read the response",
}

_SLOW = 0.25
"""Seconds from which on of several that were served in turn none is called quick."""


@dataclass(frozen=True)
class Sentence:
    """A finding in words, in parts: a connection among them stands for its name.

    `blocker` is what it is about, if it is about one.
    """

    parts: tuple[str | Connection, ...]
    blocker: Blocker | None = None

    def __str__(self) -> str:
        """Return it as text."""
        said = "".join(part if isinstance(part, str) else who(part) for part in self.parts)
        return said[:1].upper() + said[1:]


def sentences(findings: Findings) -> list[Sentence]:
    """Return what happened on one server: who waited for whom, for what else; what that cost."""
    told = [_waited_for(blocker) for blocker in sorted(findings.blockers, key=_most_telling)]
    told += [Sentence((words,)) for words in (_turned_away(findings), _gave_up(findings)) if words]
    if not told and findings.queue:
        calm = (
            f"Nobody waited: the longest of {count(findings.queue.count, 'connection')} was in "
            f"the queue for {duration(findings.queue.longest)}."
        )
        told.append(Sentence((calm,)))
    elif not findings.queue and findings.connections:
        unknown = "How long anybody waited in the queue is not known: the kernel did not say."
        told.append(Sentence((unknown,)))
    return told


def summary(findings: Findings) -> str:
    """Return all of it in one sentence, "" if nothing was measured."""
    if not findings.connections:
        return ""
    loop = (
        f"the loop could not answer for {findings.loop_busy:.0%} of "
        f"{duration(findings.loop_seconds)}; "
        if findings.loop_seconds
        else ""
    )
    everybody = count(findings.connections, "connection")
    if findings.waited is None:
        return _capital(f"{loop}{everybody} came.")
    said = f"{loop}{findings.waited} of {everybody} waited {duration(NOTICEABLE)} or more"
    return _capital(said + _mostly(findings) + ".")


def _mostly(findings: Findings) -> str:
    """Name what most of the waiting was for, if it is one thing."""
    waited: dict[str, float] = defaultdict(float)
    for blocker in findings.blockers:
        if blocker.holder and blocker.holder.asked:
            waited[blocker.holder.asked] += blocker.seconds
        elif blocker.holder:
            waited["clients " + (doing(blocker.holder) or "that asked for nothing")] += (
                blocker.seconds
            )
        else:
            waited[""] += blocker.seconds
    if not findings.waited or not waited:
        return ""
    most = max(waited, key=lambda what: waited[what])
    together = duration(sum(waited.values()))
    return f", {duration(waited[most])} of {together} together for {most}" if most else ""


def compared(first_name: str, first: Findings, other_name: str, other: Findings) -> str:
    """Compare two servers that had the same clients, in one sentence or two."""
    if not first.queue or not other.queue:
        return f"There is nothing to compare: {first_name} or {other_name} measured no wait."
    said = (
        f"The same clients, the longest wait: {duration(first.queue.longest)} with {first_name}, "
        f"{duration(other.queue.longest)} with {other_name}. "
        f"The loop was away from its post {first.loop_busy:.0%} and {other.loop_busy:.0%} "
        "of the time."
    )
    if first.drops and other.drops:
        said += (
            f" The queue was full all the same when many came at once: {first.drops} and "
            f"{count(other.drops, 'packet')} thrown away."
        )
    return said


def who(connection: Connection) -> str:
    """Name a connection's client, as it called itself and where it is, with what it asked for."""
    place = f"{connection.agent} at {connection.peer}" if connection.agent else connection.peer
    return f"{place} ({connection.asked})" if connection.asked else place


def doing(holder: Connection) -> str:
    """Say what a connection did that took so long, "" if it was the view or nothing special."""
    phases = {phase: spent for phase, spent in holder.phases.items() if phase != names.ACCEPT_QUEUE}
    return _DOING.get(max(phases, key=lambda phase: phases[phase]), "") if phases else ""


def duration(seconds: float) -> str:
    """Return seconds in the unit a person would use, with two or three digits."""
    if seconds >= 9.95:
        return f"{seconds:.1f} s"
    if seconds >= 0.1:
        return f"{seconds:.2f} s"
    if seconds >= 0.00995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds * 1000:.1f} ms"


def count(how_many: int, noun: str) -> str:
    """Return "1 client" or "2 clients"."""
    return f"{how_many} {noun}" if how_many == 1 else f"{how_many} {noun}s"


def _most_telling(blocker: Blocker) -> tuple[bool, float]:
    """Order by the longest wait, those first whose culprit has a name: a reader can look at it."""
    return blocker.holder is None, -(blocker.worst.queue_wait or 0.0)


def _waited_for(blocker: Blocker) -> Sentence:
    waited = f" waited {duration(blocker.worst.queue_wait or 0.0)} before anybody answered its "
    others = blocker.count - 1
    more = f" {count(others, 'other client')} waited for the same reason." if others else ""
    parts = (blocker.worst, waited + "connection: ", *_because(blocker), "." + more)
    return Sentence(parts, blocker)


def _because(blocker: Blocker) -> tuple[str | Connection, ...]:
    if blocker.activity == names.BLAME_CONVOY:
        before = number(blocker.worst.span.attributes, names.BLOCKED_BY_COUNT)
        served = count(int(before), "other connection") if before else "the others"
        each = (blocker.worst.queue_wait or 0.0) / before if before else 0.0
        if each >= _SLOW:
            last = f"one after another, about {duration(each)} each"
            return (f"{served} had to be served first, {last}",)
        return (f"nobody was slow, but {served} had to be served first, one after another",)
    holder = blocker.holder
    if holder is None:
        return (glossary.ACTIVITIES.get(blocker.activity, blocker.activity),)
    slow = f", {doing(holder)}" if doing(holder) else ""
    if blocker.activity == names.LOOP_TLS_HANDSHAKE:
        loop = "the one loop that answers new connections was still in the encryption handshake of "
        return (loop, holder, slow)
    return ("the server has one thread, and it was busy with ", holder, slow)


def _turned_away(findings: Findings) -> str:
    if not findings.drops:
        return ""
    room = f"The queue has room for {findings.limit}. " if findings.limit else ""
    return (
        f"{room}When it was full, the kernel threw away {count(findings.drops, 'packet')} of "
        "clients that wanted to connect. They got no error: they tried again, a second later "
        "each time."
    )


def _gave_up(findings: Findings) -> str:
    if not findings.gone:
        return ""
    said = f"{count(findings.gone, 'client')} gave up before anybody answered."
    if findings.gone_served:
        everyone = findings.gone_served == findings.gone
        whom = "" if everyone else f" for {findings.gone_served} of them"
        said += f" The server did the work{whom} all the same, and nobody read it."
    return said


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
