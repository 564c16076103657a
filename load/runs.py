"""The run that goes on: its bounds while it lasts, its end, and which of its visitors is which.

Locust's page, the keys of its terminal and its command line all come by here.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import gevent
from locust.dispatch import UsersDispatcher
from locust.runners import MasterRunner, WorkerRunner

import bounds

log = logging.getLogger(__name__)
ALONE = "alone"
"""The name of a process that has no workers and is none."""


class Bounded(UsersDispatcher):
    """Says how many users run where, as Locust's own does, but never more than there may be."""

    def __init__(self, environment: Any, **others: Any) -> None:
        super().__init__(**others)
        self._environment = environment

    def new_dispatch(self, target_user_count: int, *others: Any, **more: Any) -> None:
        """Let the users become so many; if they are too many, let those who are there go on."""
        if target_user_count > bounds.MOST_USERS:
            log.error("Refused: %s", bounds.too_many(target_user_count))
            target_user_count = self.get_current_user_count()
            if not target_user_count:
                gevent.spawn(self._environment.runner.stop)
        super().new_dispatch(target_user_count, *others, **more)


class Run:
    """The run of this process; there is one at a time."""

    def __init__(self) -> None:
        self._limit: Any = None
        self._visitors: Iterator[int] = itertools.count()

    def prepare(self, environment: Any) -> None:
        """Have Locust ask us how many users there may be."""
        environment.dispatcher_class = functools.partial(Bounded, environment)

    def begin(self, environment: Any) -> None:
        """Count its visitors anew, tell its workers their order, and limit its time."""
        self._visitors = itertools.count()
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            return  # the master's limit ends it here too
        workers = [ALONE]
        if isinstance(runner, MasterRunner):
            clients = runner.clients
            workers = sorted(each.id for each in clients.ready + clients.running + clients.spawning)
        # Locust sends options of ours to the workers before they begin.
        environment.parsed_options.worker_order = workers
        self.end()
        self._limit = gevent.spawn_later(bounds.LONGEST, gevent.spawn, runner.stop)

    def end(self) -> None:
        """Forget its limit, which would end the next run."""
        if self._limit is not None:
            self._limit.kill(block=False)

    def number_visitor(self, environment: Any) -> int:
        """Return which visitor of the run a new one is, over all workers; there is one 0.

        Locust gives its workers, in the order of their names, one user after the other.
        """
        runner = environment.runner
        mine = runner.client_id if isinstance(runner, WorkerRunner) else ALONE
        workers = environment.parsed_options.worker_order
        # One that came later takes none of the others' numbers but may share them.
        place = workers.index(mine) if mine in workers else len(workers)
        return int(place + next(self._visitors) * len(workers))
