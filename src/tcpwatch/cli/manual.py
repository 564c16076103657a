"""The form of a command: its help ends with examples and with what its exit codes mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.types import IntParamType

INTERRUPTED = 130
"""What a shell reports for a command that Ctrl-C ended."""


class Port(IntParamType):
    """A TCP port; 0 is any free one, where `least` allows it."""

    name = "port"

    def __init__(self, least: int = 0) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; anything else is a usage error."""
        number: int = super().convert(value, param, ctx)
        if not self.least <= number <= 65535:
            self.fail(f"{number} is no port: expected {self.least} to 65535", param, ctx)
        return number


class Command(click.Command):
    """A click command that documents itself to the end.

    Args:
        examples: command lines as they are typed.
        exit_codes: what each means; Ctrl-C's and a wrong option's are added.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        exit_codes: Mapping[int | str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.exit_codes = exit_codes or {}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what follows the options."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        if self.exit_codes:
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(code), words) for code, words in self.exit_codes.items()])
        super().format_epilog(ctx, formatter)


class Group(Command, click.Group):
    """The group of the commands; Ctrl-C ends any of them without a traceback."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
