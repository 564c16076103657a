"""The demo: play the acts against real servers, listen to their telemetry, and report it."""

from __future__ import annotations

import contextlib
import ssl

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tcpwatch.cli import anonymous_tls, story
from tcpwatch.cli.acts import ACTS, Act
from tcpwatch.cli.clients import Door
from tcpwatch.cli.pictures import indented
from tcpwatch.cli.servers import SampleServer, ServerFailedError
from tcpwatch.view.findings import find
from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording

USUAL_SECONDS = 15.0


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
        told = [
            story.Told(
                act.title, act.short, find(recording, act.service), act.steps is acts[0].steps
            )
            for act in acts
        ]
        story.tell(console, told, len(recording.spans), len(recording.points()))
    return all(one.findings.connections for one in told)


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
