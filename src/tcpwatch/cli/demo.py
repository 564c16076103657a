"""The demo: play the acts against real servers, listen to their telemetry, and report it."""

from __future__ import annotations

import contextlib
import ssl
import threading

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tcpwatch.cli import anonymous_tls, story
from tcpwatch.cli.acts import ACTS, USUAL_SECONDS, Act
from tcpwatch.cli.clients import Door
from tcpwatch.cli.pictures import indented
from tcpwatch.cli.servers import SampleServer, ServerFailedError
from tcpwatch.view.findings import Findings, find
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.sentences import sentences
from tcpwatch.view.store import Store
from tcpwatch.view.viewer import Viewer


def run(console: Console, seconds: float, *, stay: bool) -> bool:
    """Play and report, with the viewer's page open meanwhile.

    Args:
        console: where to write.
        seconds: how long it should take, about; a burst beyond the queue's room takes its own
            time, because the kernel retries after a second.
        stay: keep the page afterwards, until Ctrl-C.

    Returns:
        Whether every server's telemetry arrived.

    Raises:
        ServerFailedError: a sample server did not start.
    """
    pace = seconds / USUAL_SECONDS
    acts = [act for act in ACTS if not act.tls or _can_encrypt()]
    with Store() as store, _viewer(store) as viewer:
        console.print(
            "Real servers, real clients, all on this machine. Each server runs with "
            f"tcpwatch.install() and sends OpenTelemetry data to {viewer.address}."
        )
        if stay:
            console.print(f"Watch it while it happens: {viewer.address}", style="bold")
        _play(console, acts, viewer.address, pace)
        told = [
            story.Told(
                title=f"Act {number}: {act.title}",
                short=act.short,
                findings=_findings(store, act.service),
                most=story.SENTENCES if number == 1 else 1,
                same_clients=act.steps is acts[0].steps,
            )
            for number, act in enumerate(acts, 1)
        ]
        ((spans,),) = store.read("SELECT count(*) FROM spans")
        ((series,),) = store.read("SELECT count(*) FROM series")
        story.tell(console, told, spans, series)
        story.own(console)
        if stay:
            _stay(console, viewer, told[0].findings)
    return all(one.findings.connections for one in told)


def _viewer(store: Store) -> Viewer:
    """Serve on the usual port, or on any if somebody else has it."""
    try:
        return Viewer(store)
    except OSError:
        return Viewer(store, port=0)


def _findings(store: Store, service: str) -> Findings:
    server = next((one.id for one in store.servers.values() if one.service == service), -1)
    return find(store, Chosen(server=server))


def _stay(console: Console, viewer: Viewer, findings: Findings) -> None:
    """Keep the page; the last thing on screen is where it is and what it begins with."""
    console.rule("In the browser")
    for first in sentences(findings)[:1]:
        console.print(indented(str(first), console.width, ""), markup=False)
    console.print(f"With pictures: {viewer.address}   (Ctrl-C ends it)", style="bold")
    with contextlib.suppress(KeyboardInterrupt):
        forever = threading.Event()
        while not forever.wait(0.5):  # a signal just before a wait without an end is not heard
            pass


def _play(console: Console, acts: list[Act], endpoint: str, pace: float) -> None:
    with _progress(console) as progress, contextlib.ExitStack() as running:
        bar = progress.add_task("", total=sum(act.seconds(pace) for act in acts))
        for number, act in enumerate(acts, 1):
            console.print(f"\nAct {number}: {act.title}", style="bold")
            progress.update(bar, description=f"act {number} of {len(acts)}")
            options = (*act.options, "--pace", str(pace))
            server = running.enter_context(SampleServer(act.service, endpoint, options))
            door = Door(
                server.port(),
                timeout=1 + 6 * pace,
                tls=anonymous_tls.context(ssl.PROTOCOL_TLS_CLIENT) if act.tls else None,
            )
            for step in act.steps(pace):
                console.print(indented(step.words, console.width, "  "))
                step.play(door)
                progress.advance(bar, step.seconds)
            server.finish()
        progress.update(bar, description="last data")


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _can_encrypt() -> bool:
    try:
        anonymous_tls.context(ssl.PROTOCOL_TLS_SERVER)
    except ssl.SSLError:
        return False
    return True


__all__ = ["ServerFailedError", "run"]
