"""Which suites are run, and what is expected of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PATIENCE = 600
"""Seconds for one run of one suite."""


@dataclass(frozen=True)
class Suite:
    """One suite: a file of CPython's tests, or the tests in a source distribution.

    `serves` says whether it serves connections through socketserver, so that a watched run that
    has seen none has proved nothing. `import_shy` are tests that want to be the first to import
    `logging`: they fail without tcpwatch too if a process begins by importing it, which is checked
    when they differ.
    """

    name: str
    serves: bool = True
    distribution: bool = False
    flags: tuple[str, ...] = ()
    import_shy: frozenset[str] = frozenset()

    def command(self, python: Path, report: Path) -> list[str]:
        """Return the command that runs it, with a JUnit report of every test."""
        if self.distribution:
            return [
                *(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("--timeout=30", f"--junitxml={report}", *self.flags),
            ]
        return [
            *(str(python), "-m", "test", "-v"),
            *(f"--timeout={PATIENCE}", f"--junit-xml={report}", *self.flags, self.name),
        ]


SUITES = (
    Suite("test_socketserver", flags=("-u", "network")),
    Suite("test_httpservers"),
    Suite("test_wsgiref"),
    Suite("test_xmlrpc"),
    Suite("test_docxmlrpc"),
    Suite(
        "test_logging",
        # Since 3.13: replaces the clock, then imports logging for the first time.
        import_shy=frozenset(
            {"test.test_logging.FormatterTest.test_relativeCreated_has_higher_precision"}
        ),
    ),
    Suite("test_ssl"),
    Suite("test_urllib2_localnet"),
    Suite("werkzeug", distribution=True),
    # Flask's tests call the application without a server in between.
    Suite("flask", distribution=True, serves=False),
)
