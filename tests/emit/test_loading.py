"""Exporters are looked up by name, and what is wrong with one is said in a line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tcpwatch.emit import providers

NAME = "unfinished"


class Entry:
    """An entry point whose package cannot be imported."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def load(self) -> object:
        """Fail."""
        raise self._error


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Forget what was looked up."""
    yield
    providers._load.cache_clear()


@pytest.mark.parametrize(
    "error", [ImportError("no module"), UserWarning("versions do not match")], ids=["no", "warning"]
)
def test_an_exporter_that_cannot_be_imported_costs_its_signal_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Whatever its import raises, a warning that is an error included, one line says so, once."""
    providers._load.cache_clear()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", NAME)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setattr(providers, "entry_points", lambda group, name: [Entry(error)])

    providers.preload(None, None)
    providers.own_tracer_provider()

    (line,) = caplog.messages
    assert f"{NAME!r} for traces cannot be imported: {type(error).__name__}: {error}" in line
    assert "traces are not sent" in line


class Picky:
    """An entry point of an exporter that refuses its settings."""

    def load(self) -> object:
        """Return what makes it."""

        def make() -> object:
            raise ValueError("a setting makes no sense")

        return make


def test_what_cannot_be_made_beforehand_is_told_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server is made all the same; the first accept meets the error again."""
    providers._load.cache_clear()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", NAME)
    monkeypatch.setattr(providers, "entry_points", lambda group, name: [Picky()])
    monkeypatch.setattr(providers, "application_tracer_provider", lambda: None)

    providers.preload(None, None)
    with pytest.raises(ValueError, match="makes no sense"):
        providers.own_tracer_provider()
