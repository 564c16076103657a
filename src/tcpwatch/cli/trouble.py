"""What can go wrong with files and ports, as a sentence instead of a traceback."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

import click


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """End the command with exit code 1 and a sentence if a file or a port cannot be used."""
    from tcpwatch.view.store import StoreError
    from tcpwatch.view.store.files import NotARecordingError

    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.ClickException(
                f"{error.strerror}. Is another viewer or a collector running? --port takes another."
            ) from error
        where = f"{error.filename}: " if error.filename and error.strerror else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from error
    except (NotARecordingError, StoreError) as error:
        raise click.ClickException(str(error)) from error
