"""What was received, kept: a thread-safe, bounded store in memory or in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tcpwatch.view.store import schema
from tcpwatch.view.store.database import Database, StoreError
from tcpwatch.view.store.dictionary import Dictionary, Series, Server
from tcpwatch.view.store.logs import of_logs
from tcpwatch.view.store.metrics import of_metrics
from tcpwatch.view.store.rows import Rows, of_traces

if TYPE_CHECKING:
    from typing_extensions import Self

CAP = 512 * 1024 * 1024
_PER_ROW = 120
"""Bytes that a span or a point takes beside its body, measured; a body is all of its size."""
_LATEST = 20_000
"""Rows among which is looked for what a sender may have sent again: some seconds' worth."""
_LEAVES = 0.15
"""The share of the store that leaves at once when it is full."""


class Store:
    """Keeps the newest spans and points, the oldest out first.

    A call that adds returns when the database has it; with a file that means: on the disk, and
    there after a kill.

    Args:
        path: a DuckDB file, made if it is not there; None for memory.
        cap: bytes to keep, about.

    Raises:
        StoreError: the file cannot be used. It is left as it was.
    """

    def __init__(self, path: Path | None = None, cap: int = CAP) -> None:
        self._database = Database(path)
        self._dictionary = Dictionary(self._database)
        self._cap = cap
        self._version = 0
        self.trouble = ""
        ((self._seq,),) = self.read(f"SELECT coalesce(max(seq), 0) + 1 FROM ({schema.BODIES})")
        ((self._evicted,),) = self.read("SELECT evicted FROM tcpwatch_store")
        self._bytes = self._measured()

    @property
    def where(self) -> str:
        """The file's name, or "memory"."""
        return self._database.where

    @property
    def cap(self) -> int:
        """Bytes that are kept, about."""
        return self._cap

    @property
    def size(self) -> int:
        """Bytes that are there, about."""
        return self._bytes

    @property
    def evicted(self) -> int:
        """How many spans had to leave for newer ones."""
        return int(self._evicted)

    @property
    def version(self) -> int:
        """A number that changes whenever something arrives or leaves."""
        return self._version

    @property
    def servers(self) -> dict[int, Server]:
        """The listeners seen, by number."""
        return dict(self._dictionary.servers)

    def series(self, *wanted: str) -> list[Series]:
        """Return the series of the metrics of these names."""
        return [one for one in list(self._dictionary.series.values()) if one.name in wanted]

    def service(self, origin: int) -> str:
        """Return the `service.name` of an origin."""
        return self._dictionary.services.get(origin, "")

    def add_traces(self, request: ExportTraceServiceRequest, *, everywhere: bool = False) -> int:
        """Store the request's spans and return how many were refused.

        What is there already is not stored again, and not refused: a sender repeats what was not
        acknowledged in time, and a person opens the same recording twice.

        Args:
            request: what was sent.
            everywhere: look for its spans in all that is stored, not only in the latest.

        Raises:
            StoreError: they could not be written; none of them was.
        """

        def made(seq: int) -> tuple[Rows, int]:
            known = self._known(request, 0 if everywhere else seq - _LATEST)
            return of_traces(request, seq, self._dictionary.origin, self._dictionary.server, known)

        return self._add(made)

    def add_metrics(self, request: ExportMetricsServiceRequest, *, everywhere: bool = False) -> int:
        """Store the request's points, each once, and return how many were refused.

        Raises:
            StoreError: they could not be written; none of them was.
        """

        def made(seq: int) -> tuple[Rows, int]:
            known = self._dictionary
            rows, refused = of_metrics(request, seq, known.origin, known.series_of)
            return self._fresh("points", rows, 0 if everywhere else seq - _LATEST), refused

        return self._add(made)

    def add_logs(self, request: ExportLogsServiceRequest, *, everywhere: bool = False) -> int:
        """Store what tcpwatch in a server logged, once, and return how many records were refused.

        What the application logs is taken and not kept: this is no place for it.

        Raises:
            StoreError: they could not be written; none of them was.
        """

        def made(seq: int) -> tuple[Rows, int]:
            rows, refused = of_logs(request, seq, self._dictionary.origin)
            return self._fresh("logs", rows, 0 if everywhere else seq - _LATEST), refused

        return self._add(made)

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query; callable from any thread.

        Raises:
            StoreError: the database cannot be read.
        """
        return self._database.read(statement, parameters)

    def close(self) -> None:
        """Close the database; a file then holds everything. Idempotent."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _add(self, made: Callable[[int], tuple[Rows, int]]) -> int:
        with self._database.writing:
            rows, refused = made(self._seq)
            common = self._dictionary.taken()
            statements = [
                (schema.insertion(table), list(zip(*some, strict=True)))
                for table, some in (*common.items(), *rows.items())
                if some
            ]
            try:
                self._database.write(
                    [(text, [*map(list, columns)]) for text, columns in statements]
                )
            except StoreError as error:
                # What was numbered for rows that are not there is numbered again from the file.
                self._dictionary = Dictionary(self._database)
                self.trouble = str(error)
                raise
            self.trouble = ""
            bodies: list[Any] = [row[-1] for table in schema.ARCHIVE for row in rows.get(table, ())]
            self._seq += len(bodies)
            self._bytes += sum(_PER_ROW + len(body) for body in bodies)
            if self._bytes > self._cap:
                self._evict()
            self._version += bool(bodies)
        return refused

    def _known(self, request: ExportTraceServiceRequest, since: int) -> set[tuple[str, int]]:
        """Return trace and id of those spans that are stored with a number from `since` on."""
        ids = [
            int.from_bytes(span.span_id[:8], "big")
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        found = self.read(
            """SELECT trace, span FROM spans
            WHERE seq >= ? AND span IN (SELECT unnest(?::UBIGINT[]))""",
            [max(since, 0), ids],
        )
        return {(trace, span) for trace, span in found}

    def _fresh(self, table: str, rows: Rows, since: int) -> Rows:
        """Return the rows of `table` that are not stored with a number from `since` on."""
        number, owner, moment, *_, body = schema.TABLES[table]
        some = rows[table]
        known = set(
            self.read(
                f"""SELECT {owner}, {moment}, {body} FROM {table}
                WHERE {number} >= ? AND {moment} IN (SELECT unnest(?::BIGINT[]))""",
                [max(since, 0), [*{row[2] for row in some}]],
            )
        )
        fresh = [row for row in some if (row[1], row[2], row[-1]) not in known]
        return {table: [(some[at][0], *row[1:]) for at, row in enumerate(fresh)]}

    def _measured(self) -> int:
        ((total,),) = self.read(
            f"SELECT sum({_PER_ROW} + octet_length(body))::BIGINT FROM ({schema.BODIES})"
        )
        return int(total or 0)

    def _evict(self) -> None:
        """Let the oldest leave: of every table what arrived before one point in time."""
        goal = int(self._bytes - self._cap * (1 - _LEAVES))
        ((limit,),) = self.read(
            f"""SELECT min(seq) FROM (
                SELECT seq, sum({_PER_ROW} + octet_length(body)) OVER (ORDER BY seq) AS upto
                FROM ({schema.BODIES})
            ) WHERE upto > ?""",
            [goal],
        )
        if limit is None:
            return
        ((leaving,),) = self.read("SELECT count(*) FROM spans WHERE seq < ?", [limit])
        self._database.write(
            [
                *((f"DELETE FROM {table} WHERE seq < ?", [limit]) for table in schema.AGING),
                ("UPDATE tcpwatch_store SET evicted = evicted + ?", [leaving]),
            ]
        )
        self._evicted += leaving
        self._database.checkpoint()
        self._bytes = self._measured()
