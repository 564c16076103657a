"""Numbers for what many rows have in common: origins, servers and series, each bounded.

A sender with endless names would fill the memory by them; one too many gets None, and its rows are
refused and reported.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tcpwatch import names
from tcpwatch.view import decode
from tcpwatch.view.connections import is_named, text
from tcpwatch.view.signals import Attributes
from tcpwatch.view.store.database import Database
from tcpwatch.view.store.rows import Rows, whole

MAX_ORIGINS = 2_000
MAX_SERVERS = 500
MAX_SERIES = 20_000


@dataclass(frozen=True)
class Server:
    """A listener: `service` is its `service.name`, `port` is None for a path."""

    id: int
    service: str
    address: str
    port: int | None

    @property
    def name(self) -> str:
        """How people call it."""
        if not self.place:
            return self.service or "a server without a name"
        return f"{self.service} on {self.place}" if is_named(self.service) else self.place

    @property
    def short(self) -> str:
        """Return what it is called where there is little room: one of these."""
        return self.service if is_named(self.service) or not self.place else self.place

    @property
    def place(self) -> str:
        """Its address and port."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return self.address if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True)
class Series:
    """What the points of one series have in common; `server` is None for a process' metric."""

    id: int
    name: str
    kind: str
    temporality: str
    origin: int
    server: int | None
    attributes: Attributes


class Dictionary:
    """The numbers given so far; `fresh` collects the rows that the database does not have yet."""

    def __init__(self, database: Database) -> None:
        self.servers: dict[int, Server] = {}
        self.series: dict[int, Series] = {}
        self.services: dict[int, str] = {}
        self.fresh: Rows = {}
        self._origins: dict[Hashable, int] = {}
        self._listeners: dict[Hashable, int] = {}
        self._keys: dict[Hashable, int] = {}
        self._load(database)

    def origin(self, of_resource: Any, of_scope: Any, service: str) -> int | None:
        """Return the number of a resource and a scope (of spans or of metrics)."""
        row = (
            of_resource.resource.SerializeToString(),
            of_resource.schema_url,
            of_scope.scope.SerializeToString(),
            of_scope.schema_url,
        )
        known = self._origins.get(row)
        if known is not None or len(self._origins) >= MAX_ORIGINS:
            return known
        number = self._origins[row] = len(self._origins)
        self.services[number] = service
        self._add("origins", (number, service, of_scope.scope.name, *row))
        return number

    def server(self, service: str, attributes: Attributes) -> int | None:
        """Return the number of the listener that the attributes name."""
        address = text(attributes, names.SERVER_ADDRESS)[:256]
        port = whole(attributes, names.SERVER_PORT)
        known = self._listeners.get((service, address, port))
        if known is not None or len(self._listeners) >= MAX_SERVERS:
            return known
        number = self._listeners[service, address, port] = len(self._listeners)
        self.servers[number] = Server(number, service, address, port)
        self._add("servers", (number, service, address, port))
        return number

    def series_of(
        self, origin: int, service: str, metric: Metric, attributes: Attributes, key: bytes
    ) -> int | None:
        """Return the number of a series."""
        known = self._keys.get((origin, key))
        if known is not None or len(self._keys) >= MAX_SERIES:
            return known
        number = self._keys[origin, key] = len(self._keys)
        ours = names.SERVER_ADDRESS in attributes and metric.name.startswith(names.SCOPE + ".")
        server = self.server(service, attributes) if ours else None
        shape = metric.WhichOneof("data") or ""
        kept = getattr(getattr(metric, shape), "aggregation_temporality", 0) if shape else 0
        one = Series(
            id=number,
            name=metric.name,
            kind=decode.SHAPES.get(shape, shape),
            temporality=decode.temporality(kept),
            origin=origin,
            server=server,
            attributes=attributes,
        )
        self.series[number] = one
        self._add(
            "series",
            (
                *(number, one.name, one.kind, one.temporality, origin, server),
                json.dumps(attributes, default=repr),
                key,
                metric.SerializeToString(),
            ),
        )
        return number

    def taken(self) -> Rows:
        """Return the rows to be written, and begin anew."""
        fresh, self.fresh = self.fresh, {}
        return fresh

    def _add(self, table: str, row: tuple[object, ...]) -> None:
        self.fresh.setdefault(table, []).append(row)

    def _load(self, database: Database) -> None:
        for number, service, *row in database.read(
            "SELECT id, service, resource, resource_schema, scope, scope_schema FROM origins"
        ):
            self._origins[tuple(row)] = number
            self.services[number] = service
        for number, service, address, port in database.read("SELECT * FROM servers"):
            self._listeners[service, address, port] = number
            self.servers[number] = Server(number, service, address, port)
        for number, name, kind, temporality, origin, server, attributes, key in database.read(
            "SELECT * EXCLUDE descriptor FROM series"
        ):
            self._keys[origin, key] = number
            self.series[number] = Series(
                number, name, kind, temporality, origin, server, json.loads(attributes)
            )
