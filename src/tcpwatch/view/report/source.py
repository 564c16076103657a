"""A recording from wherever it is: OTLP JSON lines, a viewer's database, or a viewer that runs."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from tcpwatch.view.store import Store
from tcpwatch.view.store.files import NotARecordingError, read_lines

_MAGIC = b"DUCK"
_MAGIC_AT = 8
_PATIENCE = 30.0


def opened(source: str) -> Store:
    """Return the recording as a store, the caller's to close.

    Args:
        source: a file's name, or the address of a viewer.

    Raises:
        OSError: the file cannot be read, or the viewer breaks off.
        NotARecordingError: it is something else, or nothing is there.
        StoreError: it is a database that cannot be used.
    """
    if source.startswith(("http://", "https://")):
        return _from_viewer(source)
    path = Path(source)
    try:
        with path.open("rb") as file:
            magic = file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:]
    except FileNotFoundError as error:
        raise NotARecordingError(
            f"there is no file {source}. Expected a recording, a database of `tcpwatch view --db`,"
            " or a viewer's address with its http://"
        ) from error
    if magic == _MAGIC:
        return Store(path)
    with path.open("rb") as file:
        return _filled(file, source)


def _from_viewer(address: str) -> Store:
    url = address.rstrip("/") + "/api/export"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as lines:  # noqa: S310  # http(s), see opened
            return _filled(lines, address)
    except urllib.error.HTTPError as error:
        raise NotARecordingError(f"{address} is no tcpwatch viewer: {error}") from error
    except urllib.error.URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise NotARecordingError(
            f"nothing answers at {address} ({why}). Expected a viewer: `tcpwatch view` starts one,"
            " and prints its address."
        ) from error


def _filled(lines: object, name: str) -> Store:
    store = Store()
    try:
        read_lines(store, lines, name)  # type: ignore[arg-type]
    except BaseException:
        store.close()
        raise
    return store
