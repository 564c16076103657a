"""A Django project of one file, managed as any: `python -m tests.hard.apps_b_django runserver`."""

from __future__ import annotations

from typing import Any

import tcpwatch

tcpwatch.install()

from django.conf import settings  # noqa: E402 - install() comes first, as in a manage.py
from django.core.management import execute_from_command_line  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def hello(request: Any) -> Any:
    """Answer, without reading what was sent; with a length, or Django closes the connection."""
    return HttpResponse("hello", headers={"Content-Length": "5"})


def broken(request: Any) -> Any:
    """Fail; Django makes a page of it."""
    raise ZeroDivisionError


def stream(request: Any) -> Any:
    """Answer in pieces."""
    return StreamingHttpResponse(iter(["one ", "two"]))


urlpatterns = [path("", hello), path("broken", broken), path("stream", stream)]

if __name__ == "__main__":
    settings.configure(DEBUG=True, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="-")
    execute_from_command_line()
