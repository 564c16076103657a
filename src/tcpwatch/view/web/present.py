"""The servers as the page lists them: what is recorded of each, and how it stands now."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict
from typing import Any

from tcpwatch.view.findings import NOTICEABLE
from tcpwatch.view.now import Server
from tcpwatch.view.queries import now, servers
from tcpwatch.view.store import Store

_AN_HOUR = 3600.0


def standing(store: Store, most: int) -> dict[str, Any]:
    """Return how each server stood when it was last heard, and the connections that ended last."""
    return {
        "servers": [asdict(one) for one in now.standing(store, _AN_HOUR)],
        "ended": [asdict(one) for one in now.ended(store, most)],
    }


def listed(store: Store) -> list[dict[str, Any]]:
    """Return the servers; one whose first connection is not over yet is known by its metrics."""
    by_place: dict[tuple[str, str, int | None], list[Server]] = defaultdict(list)
    moment = time.time()
    for one in now.standing(store):
        if one.is_present(moment):
            by_place[one.service, one.address, one.port].append(one)
    told = {seen.server.id: seen for seen in servers.servers(store, NOTICEABLE)}
    made = []
    for server in store.servers.values():
        seen = told.get(server.id)
        processes = by_place.get((server.service, server.address, server.port), [])
        if seen is None and not processes:
            continue
        heard = [one.heard for one in processes]
        made.append(
            {
                "id": server.id,
                "name": server.name,
                "service": server.service,
                "place": server.place,
                "connections": seen.connections if seen else 0,
                "waited": seen.waited if seen else None,
                "seconds": seen.waited_seconds if seen else 0.0,
                "first": seen.first if seen else min(heard),
                "last": max([seen.last, *heard] if seen else heard),
                "now": [_process(store, one) for one in processes],
            }
        )
    return sorted(made, key=lambda one: one["first"])


def _process(store: Store, one: Server) -> dict[str, Any]:
    warned = now.warned(store, one) if one.stuck else None
    # A record goes out at once, metrics at their time: the stall may be over since.
    over = warned is not None and warned.is_over
    return {
        "heard": one.heard,
        "every": one.every,
        "busy": 0.0 if over else one.busy,
        "stuck": one.stuck and not over,
        "depth": one.depth,
        "limit": one.limit,
        "rate": one.rate,
        "open": [asdict(phase) for phase in one.open],
        "warned": asdict(warned) if warned and not over else None,
    }
