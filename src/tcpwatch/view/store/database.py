"""DuckDB, opened with care: a file that is not ours, corrupt or in use is told, never harmed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from tcpwatch.view.store import schema

MEMORY = ":memory:"
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    # Nothing that arrives over the network becomes SQL; should it ever, it finds no file here.
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 2,
}


class StoreError(RuntimeError):
    """The store cannot be opened or written; the text says what to do."""


class Database:
    """One DuckDB database: one writer at a time, any number of readers.

    Args:
        path: the file, None for memory.

    Raises:
        StoreError: the file cannot be used. It is left as it was.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.writing = threading.RLock()
        # Lent to one thread at a time and never a thread's own: what a thread owns dies with it,
        # and DuckDB aborts the process if that happens while Python is ending.
        self._idle: list[tuple[int, duckdb.DuckDBPyConnection]] = []
        self._opened = 0
        self._open()

    @property
    def where(self) -> str:
        """The file's name, or that there is none."""
        return str(self.path) if self.path else "memory"

    def read(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query; callable from any thread.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            with self._reader() as reader:
                return reader.execute(statement, parameters).fetchall()
        except duckdb.Error as error:
            raise StoreError(
                f"cannot read the store ({self.where}): {_first(error)}. Nothing in it has "
                "changed. If it says so again the file is damaged: start with another --db."
            ) from error

    def write(self, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        """Execute all of `statements` or none; when it returns, a file has them on disk.

        Raises:
            StoreError: the disk is full, or the like; nothing of it was written.
        """
        with self.writing:
            try:
                self._connection.begin()
                for statement, parameters in statements:
                    self._connection.execute(statement, parameters)
                self._connection.commit()
            except duckdb.Error as error:
                self._recover()
                raise StoreError(
                    f"cannot write to the store ({self.where}): {_first(error)}. Nothing of this "
                    "request was kept, what was stored before is unharmed. Free space on the disk "
                    "or start with another --db."
                ) from error

    def checkpoint(self) -> bool:
        """Give back the room of deleted rows; False when readers were in the way."""
        with self.writing:
            try:
                self._connection.execute("CHECKPOINT")
            except duckdb.Error:
                return False
        return True

    def close(self) -> None:
        """Close the database. Idempotent."""
        with self.writing:
            self._opened += 1
            while self._idle:
                self._idle.pop()[1].close()
            self._connection.close()

    @contextlib.contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            opened, reader = self._idle.pop()
        except IndexError:
            opened, reader = self._opened, self._connection.cursor()
        try:
            yield reader
        finally:
            if opened == self._opened:
                self._idle.append((opened, reader))
            else:  # it belongs to a connection that was closed meanwhile
                reader.close()

    def _open(self) -> None:
        fresh = self.path is None or not self.path.exists() or not self.path.stat().st_size
        try:
            self._connection = duckdb.connect(str(self.path or MEMORY), config=_SETTINGS)
        except (duckdb.Error, OSError) as error:
            raise StoreError(_why(self.path, error)) from error
        try:
            self._prepare(fresh)
        except BaseException:
            self._connection.close()
            raise
        self._opened += 1

    def _prepare(self, fresh: bool) -> None:
        try:
            if fresh:
                self._connection.execute(f"BEGIN; {schema.creation()} COMMIT; CHECKPOINT;")
            (version,) = self._connection.execute("SELECT version FROM tcpwatch_store").fetchall()
        except (duckdb.Error, ValueError) as error:
            if isinstance(error, (duckdb.CatalogException, ValueError)):
                reason = "it is a DuckDB database, but not one of tcpwatch"
                raise StoreError(_refused(self.path, reason)) from error
            raise StoreError(_why(self.path, error)) from error
        if version[0] != schema.VERSION:
            raise StoreError(
                _refused(
                    self.path,
                    f"it was written by another version of tcpwatch (format {version[0]}, this "
                    f"one reads {schema.VERSION})",
                )
            )

    def _recover(self) -> None:
        """After a failed commit DuckDB may refuse to go on; a file is then opened again."""
        with contextlib.suppress(duckdb.Error):
            self._connection.rollback()
        if self.path is None:
            return
        try:
            self._connection.execute("SELECT version FROM tcpwatch_store")
        except duckdb.Error:
            self.close()
            self._open()


def _why(path: Path | None, error: Exception) -> str:
    said = str(error)
    if "Could not set lock" in said:
        return _refused(path, "another process has it open")
    if isinstance(error, OSError) or "Permission" in said or "No such file" in said:
        return f"cannot open {path}: {_first(error)}"
    return _refused(path, f"it is corrupt or no DuckDB database ({_first(error)})")


def _refused(path: Path | None, reason: str) -> str:
    return f"cannot use {path}: {reason}. It was left as it is; give --db another name."


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
