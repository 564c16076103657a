"""What the page asks for, as JSON; times are seconds since the epoch, ids are hex."""

from __future__ import annotations

import math
import time
from typing import Any

from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import HTTPException

from tcpwatch import names
from tcpwatch.view import glossary
from tcpwatch.view.queries import loop, servers
from tcpwatch.view.queries.chosen import Chosen
from tcpwatch.view.store import Store
from tcpwatch.view.store.files import write_lines
from tcpwatch.view.web import counted, present, told
from tcpwatch.view.web.drawn import drawn

MOST_ROWS = 5_000


def api(store: Store) -> Blueprint:
    """Return the answers about a store."""
    answers = Blueprint("api", __name__)

    @answers.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[dict[str, Any], int]:
        return {"message": error.description}, error.code or 500

    @answers.get("/state")
    def state() -> dict[str, Any]:
        return {
            "version": store.version,
            "now": time.time(),
            "where": store.where,
            "size": store.size,
            "cap": store.cap,
            "evicted": store.evicted,
            "trouble": store.trouble,
            "servers": present.listed(store),
        }

    @answers.get("/now")
    def now() -> dict[str, Any]:
        return present.standing(store, _number("most", 5, 100))

    @answers.get("/words")
    def words() -> dict[str, Any]:
        return {
            "phases": {phase: glossary.PHASES[phase] for phase in names.PHASES},
            "states": glossary.LOOP_STATES,
            "outcomes": glossary.OUTCOMES,
            "activities": glossary.ACTIVITIES,
        }

    @answers.get("/loop")
    def the_loop() -> dict[str, Any]:
        server, window = _window()
        return drawn(store, server, chosen(), window, _number("most", 2000, MOST_ROWS))

    @answers.get("/findings")
    def findings() -> dict[str, Any]:
        return told.findings(store, chosen())

    @answers.get("/connection/<name>")
    def connection(name: str) -> dict[str, Any]:
        return told.connection(store, name)

    @answers.get("/overview")
    def overview() -> dict[str, Any]:
        return counted.counted(store, chosen())

    @answers.get("/learn")
    def learn() -> dict[str, Any]:
        return counted.learnt(store, chosen())

    @answers.get("/export")
    def export() -> Response:
        name = {"Content-Disposition": "attachment; filename=tcpwatch.jsonl"}
        return Response(write_lines(store), mimetype="application/jsonl", headers=name)

    @answers.get("/density")
    def density() -> dict[str, Any]:
        server, window = _window()
        steps = _number("steps", 300, 2000)
        return {
            "steps": servers.density(store, server, window.begin, window.end, steps),
            "step": (window.end - window.begin) / steps,
        }

    return answers


def _window() -> tuple[int, loop.Window]:
    """Return the server and the time that are asked for; 400 if there is none."""
    choice = chosen()
    if choice.server is None or choice.begin is None or choice.end is None:
        abort(400, "server, begin and end are needed")
    if choice.end <= choice.begin:
        abort(400, "end has to be after begin")
    return choice.server, loop.Window(choice.begin, choice.end)


def chosen() -> Chosen:
    """Return the choice that the request's query names; 400 if a number is none."""
    asked = request.args
    return Chosen(
        server=int(_seconds("server")) if "server" in asked else None,
        begin=_seconds("begin") if "begin" in asked else None,
        end=_seconds("end") if "end" in asked else None,
        route=asked.get("route") or None,
        outcome=asked.get("outcome") or None,
        peer=asked.get("peer") or None,
        least=_seconds("least") if asked.get("least") else None,
    )


def _seconds(name: str) -> float:
    try:
        value = float(request.args[name])
    except ValueError:
        value = math.nan
    if not abs(value) < 2**31 * 4:
        abort(400, f"{name} has to be a number")
    return value


def _number(name: str, usual: int, most: int) -> int:
    return max(1, min(int(_seconds(name)), most)) if name in request.args else usual
