"""Findings in plain sentences, the most telling first, without a word that needs explaining."""

from __future__ import annotations

from tcpwatch import names
from tcpwatch.view import glossary
from tcpwatch.view.connections import Connection, number
from tcpwatch.view.findings import Blocker, Findings

_DOING = {
    names.IDLE: "which had connected and sent nothing",
    names.TLS_HANDSHAKE: "which had connected and did not start the encryption",
    names.READ_HEAD: "which was slow to send its request",
    names.RESPOND: "which was slow to read the response",
}


def sentences(findings: Findings) -> list[str]:
    """Return what happened on one server: who waited for whom, then what that cost."""
    named = sorted(findings.blockers, key=_longest_first)
    told = [_waited_for(blocker) for blocker in named if blocker.holder]
    told += [words for words in (_turned_away(findings), _gave_up(findings)) if words]
    told += [_waited_for(blocker) for blocker in named if not blocker.holder]
    if not told and findings.queue:
        told.append(
            f"Nobody waited: the longest of {count(findings.queue.count, 'connection')} was in "
            f"the queue for {duration(findings.queue.longest)}."
        )
    return told


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


def _longest_first(blocker: Blocker) -> float:
    return -(blocker.worst.queue_wait or 0.0)


def _waited_for(blocker: Blocker) -> str:
    worst = blocker.worst
    said = (
        f"{_capital(who(worst))} waited {duration(worst.queue_wait or 0.0)} "
        f"before anybody answered its connection: {_because(blocker)}."
    )
    others = len(blocker.victims) - 1
    if others:
        said += f" {count(others, 'other client')} waited for the same reason."
    return said


def _because(blocker: Blocker) -> str:
    if blocker.activity == names.BLAME_CONVOY:
        before = number(blocker.worst.span.attributes, names.BLOCKED_BY_COUNT)
        served = count(int(before), "other connection") if before else "the others"
        return f"nobody was slow, but {served} had to be served first, one after another"
    holder = blocker.holder
    if holder is None:
        return glossary.ACTIVITIES.get(blocker.activity, blocker.activity)
    slow = f", {doing(holder)}" if doing(holder) else ""
    if blocker.activity == names.LOOP_TLS_HANDSHAKE:
        return (
            "the one loop that answers new connections was still in the encryption handshake "
            f"of {who(holder)}{slow}"
        )
    return f"the server has one thread, and it was busy with {who(holder)}{slow}"


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
    gone = [one for one in findings.connections if one.outcome == names.CLIENT_GONE_IN_QUEUE]
    if not gone:
        return ""
    served = sum(bool(one.requests) for one in gone)
    said = f"{count(len(gone), 'client')} gave up before anybody answered."
    if served:
        whom = "" if served == len(gone) else f" for {served} of them"
        said += f" The server did the work{whom} all the same, and nobody read it."
    return said


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
