"""Locust's entry: `locust -f load/locustfile.py --scenario NAME --host http://127.0.0.1:8000`.

The web page has the scenario as a choice. Numbers of clients are Locust's to choose there;
load/run.py starts a scenario with its own.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import gevent
import urllib3
from locust import HttpUser, events, task
from locust.exception import StopUser
from locust.runners import WorkerRunner

import behaviours
import bounds
import runs
import tracing
from scenarios import DEFAULT, SCENARIOS

log = logging.getLogger(__name__)
run = runs.Run()
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the sample makes its own
REFUSED = 2
"""Exit status."""


class Visitor(HttpUser):
    """A client; the scenario says what it does in each turn."""

    def __init__(self, environment: Any) -> None:
        self.number = run.number_visitor(environment)
        self.came = False
        options = environment.parsed_options
        self._scenario = SCENARIOS[options.scenario]
        self._behaviour = self._scenario.behaviour or behaviours.mixed(self.number)
        if self._scenario.behaviour is None and self._behaviour in behaviours.TLS:
            self.host = options.tls_host
        super().__init__(environment)

    def wait_time(self) -> float:
        """Return the seconds between two turns."""
        return self._scenario.pause

    def sleep(self, seconds: float) -> None:
        """Let the others go on meanwhile."""
        gevent.sleep(seconds)

    def ask(self, method: str, path: str, name: str, timeout: float = 30.0) -> None:
        """Make a request by Locust's HTTP client, with a span of the client's side."""
        headers: dict[str, str] = {}
        with tracing.client_span(method, name, headers) as span:
            answer = self.client.request(
                method, path, name=name, headers=headers, timeout=timeout, verify=False
            )
            tracing.answered(span, answer.status_code)

    @task
    def turn(self) -> None:
        """Do what the scenario says to whom we may load; the web page can change that."""
        if refusal(self.host):
            raise StopUser
        self._behaviour(self)


@events.init_command_line_parser.add_listener
def choose(parser: Any) -> None:
    """Offer the scenarios on the command line and on the web page."""
    parser.add_argument(
        "--scenario",
        choices=[*SCENARIOS],
        default=DEFAULT,
        env_var="SCENARIO",
        include_in_web_ui=True,
        help="What the clients do: "
        + " ".join(f"{name}: {scenario.what}" for name, scenario in SCENARIOS.items()),
    )
    parser.add_argument(
        "--tls-host",
        default="",
        env_var="TLS_TARGET",
        include_in_web_ui=True,
        help="The server with TLS, for those of the mixed scenario who speak it; none without.",
    )


@events.init.add_listener
def prepare(environment: Any, **others: Any) -> None:
    """Make client spans, if somebody takes them. Without a web page, refuse here and end."""
    options = environment.parsed_options
    if options.headless and (why := refused(environment, options.num_users or 0)):
        log.error(why)
        sys.exit(REFUSED)
    run.prepare(environment)
    tracing.start()


@events.test_start.add_listener
def begin(environment: Any, **others: Any) -> None:
    """Bound the run; end at once what the web page asked for and is refused."""
    run.begin(environment)
    if not isinstance(environment.runner, WorkerRunner) and (why := refused(environment)):
        log.error(why)
        gevent.spawn(environment.runner.stop)


@events.test_stopping.add_listener
def over(environment: Any, **others: Any) -> None:
    """Let the next run have its own time."""
    run.end()


def refused(environment: Any, users: int = 0) -> str | None:
    """Return why whom we load or how many there are is beyond the bounds, or None."""
    tls_host = environment.parsed_options.tls_host
    return refusal(environment.host, users) or (refusal(tls_host) if tls_host else None)


def refusal(host: str | None, users: int = 0) -> str | None:
    """Return why this is beyond the bounds, or None."""
    try:
        bounds.check(host, users)
    except bounds.Refused as why:
        return f"Refused: {why}"
    return None


@events.quitting.add_listener
def end(environment: Any, **others: Any) -> None:
    """Send the spans that are left."""
    tracing.stop()
