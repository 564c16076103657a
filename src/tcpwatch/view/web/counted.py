"""Overview and Learn as the page gets them: numbers, with the words they stand beside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tcpwatch import names
from tcpwatch.view import glossary
from tcpwatch.view.findings import find, spreads
from tcpwatch.view.queries import loop, overview
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.sentences import doing, who
from tcpwatch.view.store import Store
from tcpwatch.view.web.code import places


def counted(store: Store, chosen: Chosen) -> dict[str, Any]:
    """Return the chosen connections in numbers."""
    found = find(store, chosen)
    first, step, outcomes = overview.outcomes(store, chosen)
    return {
        "connections": found.connections,
        "waited": found.waited,
        "phases": {phase: asdict(spread) for phase, spread in found.phases.items()},
        "bounds": overview.BOUNDS,
        "waits": overview.waits(store, chosen),
        "outcomes": {"first": first, "step": step, "counts": outcomes},
        "routes": [asdict(route) for route in overview.routes(store, chosen)],
        "slowest": _brief(store, overview.slowest(store, chosen)),
        "longest": _brief(store, overview.longest_waits(store, chosen)),
        "blocking": [
            {
                "activity": blocker.activity,
                "id": blocker.holder.span.span_id if blocker.holder else None,
                "who": who(blocker.holder) if blocker.holder else None,
                "did": (doing(blocker.holder) if blocker.holder else "")
                or glossary.ACTIVITIES.get(blocker.activity, blocker.activity),
                "count": blocker.count,
                "seconds": blocker.seconds,
            }
            for blocker in found.blockers[:12]
        ],
        "troubles": [asdict(trouble) for trouble in overview.troubles(store, chosen)],
        "chosen": {name: value for name, value in asdict(chosen).items() if value is not None},
    }


def learnt(store: Store, chosen: Chosen) -> dict[str, Any]:
    """Return what each phase is, with this recording's numbers and the code that ran in it."""
    known = spreads(store, chosen)
    where = places(store, chosen.server)
    return {
        "phases": [
            {
                "phase": phase,
                "meaning": glossary.PHASES[phase],
                "kernel": glossary.LESSONS[phase].kernel,
                "python": glossary.LESSONS[phase].python,
                "long": glossary.LESSONS[phase].long,
                "spread": asdict(known[phase]) if phase in known else None,
                "code": where.get(phase),
            }
            for phase in names.PHASES
        ],
        "states": glossary.LOOP_STATES,
        "loop": find(store, chosen).loop,
        "outcomes": glossary.OUTCOMES,
        "activities": glossary.ACTIVITIES,
    }


def _brief(store: Store, spans: tuple[int, ...]) -> list[dict[str, Any]]:
    found, _ = loop.rows(store, Chosen(spans=spans), max(len(spans), 1))
    known = {row.id: vars(row) for row in found}
    return [known[name] for span in spans if (name := f"{span:016x}") in known]
