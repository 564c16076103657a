"""The demo's report: sentences first, then every number with half a sentence of what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tcpwatch import names
from tcpwatch.cli import pictures
from tcpwatch.view import glossary
from tcpwatch.view.findings import NOTICEABLE, Blocker, Findings, Spread
from tcpwatch.view.sentences import compared, count, doing, duration, sentences, summary, who

SENTENCES = 5
_WORST = 3
_VISIBLE = 0.005
"""Share of the loop's time below which a state is not worth a line."""


@dataclass(frozen=True)
class Told:
    """One server's findings: `title` in words, `short` for the head of a column.

    `most` is how many sentences are told of it. `same_clients` says that its clients were those of
    the first, so the two can be compared.
    """

    title: str
    short: str
    findings: Findings
    most: int = SENTENCES
    same_clients: bool = False


def tell(console: Console, acts: Sequence[Told], spans: int, series: int) -> None:
    """Write the report of one or more servers; the first is what others are compared with."""
    console.rule("What happened")
    _say(
        console,
        f"Read from {count(spans, 'span')} and {series} metric series that the servers sent. "
        "Nothing else was looked at.",
        style="bright_black",
    )
    _sentences(console, acts)
    _loop(console, acts)
    _queue(console, acts)
    _phases(console, acts)
    _outcomes(console, acts)
    _worst(console, acts)
    _blockers(console, acts)


def _sentences(console: Console, acts: Sequence[Told]) -> None:
    for number, act in enumerate(acts):
        console.print(f"\n{act.title}", style="bold", markup=False)
        if words := summary(act.findings):
            _say(console, words)
        if number and act.same_clients:
            said = [compared(acts[0].short, acts[0].findings, act.short, act.findings)]
        else:
            said = [str(one) for one in sentences(act.findings)][: act.most]
        for sentence in said or ["Nothing was received from this server."]:
            console.print(pictures.indented(sentence, console.width, " - "), markup=False)


def _loop(console: Console, acts: Sequence[Told]) -> None:
    _head(
        console,
        "The loop that answers",
        "One loop in the server takes new connections. While it does anything else, whoever "
        "connects waits in a queue of the kernel.",
    )
    for act in acts:
        loop, total = act.findings.loop, act.findings.loop_seconds
        if not total:
            continue
        _say(
            console,
            f"{act.short}: away from its post {act.findings.loop_busy:.0%} of {duration(total)}",
        )
        rows = Table.grid(padding=(0, 1))
        rows.add_column(width=13)
        rows.add_column()
        rows.add_column(justify="right")
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(ratio=1)
        for state, seconds in loop.items():
            if seconds / total >= _VISIBLE:
                style = "green" if state == names.LOOP_IDLE else "red"
                rows.add_row(
                    Text(state),
                    pictures.share(console, seconds / total, 18, style),
                    f"{seconds / total:.0%}",
                    duration(seconds),
                    Text(glossary.LOOP_STATES.get(state, ""), style="bright_black"),
                )
        console.print(Padding(rows, (0, 0, 0, 2)))


def _queue(console: Console, acts: Sequence[Told]) -> None:
    _head(
        console,
        "The queue in front of it",
        "Where a connection waits until the loop takes it. The server's code cannot see this wait.",
    )
    table = _table("", *(act.short for act in acts))

    def row(words: str, value: Callable[[Findings], str]) -> None:
        table.add_row(words, *(value(act.findings) for act in acts))

    row("connections", lambda one: str(one.connections))
    row(f"waited {NOTICEABLE:.2f} s or more", lambda one: _known(one.waited))
    row("half waited at most", lambda one: _spread(one.queue, lambda spread: spread.p50))
    row("95 of 100 waited at most", lambda one: _spread(one.queue, lambda spread: spread.p95))
    row("longest wait", lambda one: _spread(one.queue, lambda spread: spread.longest))
    row("most waiting behind one", lambda one: _known(one.depth))
    row("room in the queue (its backlog)", lambda one: _known(one.limit))
    row("packets thrown away, queue full", lambda one: _known(one.drops))
    console.print(table)


def _phases(console: Console, acts: Sequence[Told]) -> None:
    first = acts[0]
    _head(
        console,
        "Where the time of a connection goes",
        f"Per connection, {first.title}: how many had this part, its length in the middle (half "
        "were shorter), for 95 of 100, and at most"
        + "".join(f"; in the last column the longest with {one.short}" for one in acts[1:2])
        + ".",
    )
    table = _table("part", "how many", "half", "95 %", "longest", *(one.short for one in acts[1:2]))
    for phase, spread in first.findings.phases.items():
        compare = [one.findings.phases.get(phase) for one in acts[1:2]]
        table.add_row(
            Text(phase) + Text(f"\n{glossary.PHASES[phase]}", style="bright_black"),
            str(spread.count),
            duration(spread.p50),
            duration(spread.p95),
            duration(spread.longest),
            *(_spread(other, lambda spread: spread.longest) for other in compare),
        )
    console.print(table)


def _outcomes(console: Console, acts: Sequence[Told]) -> None:
    _head(console, "How connections ended", "")
    table = _table("outcome", *(act.short for act in acts))
    for outcome, meaning in glossary.OUTCOMES.items():
        counts = [act.findings.outcomes.get(outcome, 0) for act in acts]
        if any(counts):
            table.add_row(
                Text(outcome) + Text(f"\n{meaning}", style="bright_black"), *map(str, counts)
            )
    console.print(table)


def _worst(console: Console, acts: Sequence[Told]) -> None:
    everyone = [one for act in acts for one in act.findings.worst]
    everyone.sort(key=lambda one: one.queue_wait or 0.0, reverse=True)
    _head(
        console,
        f"The {_WORST} worst waits, drawn",
        "Each line is a part of the connection's life, from left to right; accept_queue is the "
        "wait before anybody answered. Of several that waited for the same reason, the worst.",
    )
    for connection in everyone[:_WORST]:
        console.print(pictures.waterfall(console, connection))


def _blockers(console: Console, acts: Sequence[Told]) -> None:
    blockers = [(act.short, one) for act in acts for one in act.findings.blockers]
    _head(
        console,
        "Who blocked whom",
        "Who held the loop, how many waited for it and how long they waited together.",
    )
    if not blockers:
        _say(console, "Nobody waited long enough to ask why.")
        return
    table = _table("who held the loop", "server", "waited", "together", "longest")
    for short, blocker in blockers:
        table.add_row(
            _culprit(blocker),
            short,
            str(blocker.count),
            duration(blocker.seconds),
            duration(blocker.worst.queue_wait or 0.0),
        )
    console.print(table)


def own(console: Console) -> None:
    """Say how to see the same of one's own server."""
    _head(
        console,
        "Your own server",
        "`tcpwatch run --view -- flask --app app run`, or whatever starts it, shows the same of "
        "it. In code: `import tcpwatch; tcpwatch.install()` before app.run(), with "
        "OTEL_EXPORTER_OTLP_ENDPOINT at a viewer or any OpenTelemetry collector.",
    )


def _culprit(blocker: Blocker) -> Text:
    holder = blocker.holder
    if holder is None:
        words = glossary.ACTIVITIES.get(blocker.activity, "")
        return Text(blocker.activity) + Text(f"\n{words}", style="bright_black")
    did = doing(holder) or "which was being served"
    return Text(who(holder)) + Text(f"\n{did}", style="bright_black")


def _spread(spread: Spread | None, value: Callable[[Spread], float]) -> str:
    return duration(value(spread)) if spread else "-"


def _known(value: int | None) -> str:
    return "-" if value is None else str(value)


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, ratio=1)
    for other in others:
        table.add_column(other, justify="right", overflow="fold")
    return table


def _head(console: Console, title: str, meaning: str) -> None:
    console.print(f"\n{title}", style="bold", markup=False)
    if meaning:
        _say(console, meaning, style="bright_black")


def _say(console: Console, words: str, style: str = "") -> None:
    console.print(words, style=style, markup=False)
