"""Where in the code the view of a Flask application is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.views import MethodView, View

from tcpwatch.patches import flask as patch

HERE = __name__


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what was found."""
    yield
    patch.release()


def plain() -> str:
    return ""


def guarded(view: Callable[[], str]) -> Callable[[], str]:
    @functools.wraps(view)
    def inner() -> str:
        return view()

    return inner


class Items(MethodView):
    def get(self) -> str:
        return ""


class Page(View):
    def dispatch_request(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("view", "method", "function"),
    [
        (plain, "GET", "plain"),
        (guarded(plain), "GET", "plain"),
        (Items.as_view("items"), "GET", "Items.get"),
        (Page.as_view("page"), "POST", "Page.dispatch_request"),
    ],
)
def test_a_view_is_where_its_author_wrote_it(view: Any, method: str, function: str) -> None:
    """Not where a decorator stands, nor Flask's own function for a class."""
    found = patch.view_of(view, method)
    assert found is not None
    name, file, line = found
    assert (name, file) == (f"{HERE}.{function}", __file__)
    assert line > 0
    assert patch.view_of(view, method) is found


def test_a_view_that_is_no_python_code_is_nowhere() -> None:
    """A partial, or a callable object: nothing is made up."""
    assert patch.view_of(functools.partial(plain), "GET") is None
    assert patch.view_of(len, "GET") is None


def test_what_is_known_of_views_is_bounded() -> None:
    """An application that makes views as it goes is not held for ever."""
    for _ in range(3000):
        patch.view_of(lambda: "", "GET")
    assert len(patch._known) <= 1024
