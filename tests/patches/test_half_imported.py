"""A server may begin while another thread is importing a library: its modules are there, empty."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from wsgiref import handlers

import flask as the_flask
import pytest

from tcpwatch.patches import flask, werkzeug, wsgiref
from tcpwatch.patches.wrap import patches


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    """Leave nothing patched behind."""
    patches.begin()
    yield
    flask.release()
    patches.undo()


def half(monkeypatch: pytest.MonkeyPatch, name: str, **there: object) -> None:
    """Make a module one whose first lines only have run."""
    module = ModuleType(name)
    vars(module).update(there)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("there", [{}, {"BaseHandler": handlers.BaseHandler}], ids=["none", "one"])
def test_wsgiref_is_patched_when_all_of_it_is_there(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, object]
) -> None:
    """Nothing is patched and nothing raised before; then everything is."""
    with monkeypatch.context() as importing:
        half(importing, "wsgiref.handlers", **there)
        wsgiref.adopt()
        assert patches.names() == []
    wsgiref.adopt()
    assert "BaseHandler.run" in patches.names()
    assert "BaseHandler.close" in patches.names()


@pytest.mark.parametrize("at", ["flask.signals", "flask.ctx", "flask.app"])
def test_flask_is_listened_to_when_all_of_it_is_there(
    monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """It imports its signals, its contexts, its application; before the last nothing is done."""
    order = ["flask.signals", "flask.ctx", "flask.app"]
    with monkeypatch.context() as importing:
        half(importing, "flask")
        half(importing, at)
        for later in order[order.index(at) + 1 :]:
            importing.delitem(sys.modules, later)
        flask.adopt()
        assert patches.names() == []
        assert not the_flask.got_request_exception.receivers
    flask.adopt()
    assert any(part.endswith(".match_request") for part in patches.names())
    assert the_flask.got_request_exception.receivers


def test_of_werkzeug_nothing_is_asked_before_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is one of a module that has no classes yet."""
    half(monkeypatch, "werkzeug.serving")
    assert werkzeug.handlers() == ()
    werkzeug.adopt(object())
    assert patches.names() == []
