"""The store's tables, in one place: what is kept of a span or a point, and under which type.

`spans`, `points` and `logs` are the archive: every message as it came, in protobuf (`body`), so an
export gives back what was received. The other tables are what the views ask for, taken out of the
bodies once, on arrival. A row's `seq` is the arrival of its message: the oldest leave by it.
"""

from __future__ import annotations

from typing import Final

from tcpwatch import names

VERSION: Final = 2
"""Raised when a table comes, goes or changes its meaning.

A file of another version is refused, not guessed at.
"""

PHASE_COLUMNS: Final = tuple(f"phase_{phase}" for phase in names.PHASES)

TABLES: Final[dict[str, dict[str, str]]] = {
    "origins": {
        "id": "INTEGER",
        "service": "VARCHAR",
        "scope_name": "VARCHAR",
        "resource": "BLOB",
        "resource_schema": "VARCHAR",
        "scope": "BLOB",
        "scope_schema": "VARCHAR",
    },
    "servers": {
        "id": "INTEGER",
        "service": "VARCHAR",
        "address": "VARCHAR",
        "port": "INTEGER",
    },
    "spans": {
        "seq": "BIGINT",
        "span": "UBIGINT",
        "trace": "VARCHAR",
        "origin": "INTEGER",
        "body": "BLOB",
    },
    "connections": {
        "seq": "BIGINT",
        "span": "UBIGINT",
        "server": "INTEGER",
        "start_ns": "BIGINT",
        "end_ns": "BIGINT",
        "peer": "VARCHAR",
        "cookie": "VARCHAR",
        "outcome": "VARCHAR",
        "error": "VARCHAR",
        "dispatch": "VARCHAR",
        "depth": "INTEGER",
        "depth_limit": "INTEGER",
        "cause": "VARCHAR",
        "cause_span": "UBIGINT",
        "cause_cookie": "VARCHAR",
        **dict.fromkeys(PHASE_COLUMNS, "DOUBLE"),
    },
    "phases": {
        "seq": "BIGINT",
        "owner": "UBIGINT",
        "phase": "VARCHAR",
        "start_ns": "BIGINT",
        "end_ns": "BIGINT",
    },
    "requests": {
        "seq": "BIGINT",
        "span": "UBIGINT",
        "owner": "UBIGINT",
        "cookie": "VARCHAR",
        "start_ns": "BIGINT",
        "end_ns": "BIGINT",
        "method": "VARCHAR",
        "path": "VARCHAR",
        "route": "VARCHAR",
        "agent": "VARCHAR",
        "status": "INTEGER",
        "error": "VARCHAR",
    },
    "series": {
        "id": "INTEGER",
        "name": "VARCHAR",
        "kind": "VARCHAR",
        "temporality": "VARCHAR",
        "origin": "INTEGER",
        "server": "INTEGER",
        "attributes": "VARCHAR",
        "key": "BLOB",
        "descriptor": "BLOB",
    },
    "points": {
        "seq": "BIGINT",
        "series": "INTEGER",
        "time_ns": "BIGINT",
        "start_ns": "BIGINT",
        "value": "DOUBLE",
        "body": "BLOB",
    },
    "logs": {
        "seq": "BIGINT",
        "origin": "INTEGER",
        "time_ns": "BIGINT",
        "body": "BLOB",
    },
}
"""Table to column to type. `span`, `owner` and `cause_span` are span ids as numbers."""

VIEWS: Final = """
CREATE VIEW asked AS
    SELECT * FROM requests WHERE owner IS NOT NULL
    UNION ALL
    SELECT r.* REPLACE (c.span AS owner) FROM requests r JOIN connections c ON c.cookie = r.cookie
    WHERE r.owner IS NULL;
"""
"""`asked` is `requests`, where one without link and parent finds its connection by the cookie."""

ARCHIVE: Final = ("spans", "points", "logs")
AGING: Final = (*ARCHIVE, "connections", "phases", "requests")
"""The tables that grow with what arrives."""

BODIES: Final = " UNION ALL ".join(f"SELECT seq, body FROM {table}" for table in ARCHIVE)


def creation() -> str:
    """Return the statements that make an empty store."""
    tables = (
        f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())});"
        for table, columns in TABLES.items()
    )
    return "\n".join(
        (
            "CREATE TABLE tcpwatch_store (version INTEGER, evicted BIGINT);",
            f"INSERT INTO tcpwatch_store VALUES ({VERSION}, 0);",
            *tables,
            VIEWS,
        )
    )


def insertion(table: str) -> str:
    """Return the statement that appends rows given as one list for each column.

    DuckDB takes a list a column in one go, some forty times faster than row by row.
    """
    unnested = ", ".join(f"unnest(?::{kind}[])" for kind in TABLES[table].values())
    return f"INSERT INTO {table} SELECT {unnested}"  # names of our own
