"""The demo: play the acts against real servers, listen to their telemetry, and report it."""

from __future__ import annotations

import contextlib
import ssl

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tcpwatch.cli import anonymous_tls, story
from tcpwatch.cli.acts import ACTS, Act
from tcpwatch.cli.clients import Door
from tcpwatch.cli.servers import SampleServer, ServerFailedError
from tcpwatch.view.findings import find
from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording

USUAL_SECONDS = 20.0


def run(console: Console, seconds: float) -> bool:
    """Play and report.

    Args:
        console: where to write.
        seconds: how long it should take, about; a burst beyond the queue's room takes its own
            time, because the kernel retries after a second.

    Returns:
        Whether every server's telemetry arrived.

    Raises:
        ServerFailedError: a sample server did not start.
    """
    pace = seconds / USUAL_SECONDS
    recording = Recording()
    acts = [act for act in ACTS if not act.tls or _can_encrypt()]
    with Receiver(recording) as receiver:
        console.print(
            "Real servers, real clients, all on this machine. Each server runs with "
            f"tcpwatch.install() and sends OpenTelemetry data to {receiver.endpoint}."
        )
        _play(console, acts, receiver.endpoint, pace)
        told = [story.Told(act.title, act.short, find(recording, act.service)) for act in acts]
        story.tell(console, told, len(recording.spans), len(recording.points()))
    return all(one.findings.connections for one in told)


def _play(console: Console, acts: list[Act], endpoint: str, pace: float) -> None:
    with _progress(console) as progress, contextlib.ExitStack() as running:
        # All start at once, so that the later ones are up when their act begins.
        options = ("--pace", str(pace))
        servers = [
            running.enter_context(SampleServer(act.service, endpoint, act.options + options))
            for act in acts
        ]
        bar = progress.add_task("starting", total=None)
        doors = [
            Door(
                server.port(),
                timeout=1 + 6 * pace,
                tls=anonymous_tls.context(ssl.PROTOCOL_TLS_CLIENT) if act.tls else None,
            )
            for act, server in zip(acts, servers, strict=True)
        ]
        plays = [list(act.steps(door, pace)) for act, door in zip(acts, doors, strict=True)]
        progress.update(bar, total=sum(step.seconds for steps in plays for step in steps))
        for number, (act, server, steps) in enumerate(zip(acts, servers, plays, strict=True), 1):
            console.print(f"\n[bold]Act {number}: {act.title}[/bold]")
            progress.update(bar, description=f"act {number} of {len(acts)}")
            for step in steps:
                console.print(Padding(step.words, (0, 0, 0, 2)))
                step.play()
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
