"""`--help` as kubectl prints it: plain sections, at once.

Rich's own help costs a fifth of a second of imports, which is more than all the rest.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup

Rows = list[tuple[str, str]]


class _Prompt:
    """Lets `--help` be False where it is not given: to convert a None, typer loads pydantic."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option


class Commands(_Prompt, TyperGroup):
    """A group whose help lists its commands by purpose."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each purpose."""
        named = [
            (getattr(c, "rich_help_panel", None), name, c) for name, c in self.commands.items()
        ]
        for panel, rows in _grouped(
            (panel or "Commands", (name, command.get_short_help_str(limit=100)))
            for panel, name, command in named
            if not command.hidden
        ):
            _section(formatter, panel, rows)


class Command(_Prompt, TyperCommand):
    """A command whose help sets the options apart that all commands have."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, own options, and the options of every command."""
        found = ((parameter, parameter.get_help_record(ctx)) for parameter in self.get_params(ctx))
        for panel, rows in _grouped(
            (_panel(parameter), record) for parameter, record in found if record is not None
        ):
            _section(formatter, panel, rows)


def _panel(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "Arguments"
    return str(getattr(parameter, "rich_help_panel", None) or "Options")


def _grouped(rows: Iterable[tuple[str, tuple[str, str]]]) -> Iterator[tuple[str, Rows]]:
    """Yield panels in the order they first appear in, each with its rows."""
    panels: dict[str, Rows] = {}
    for panel, row in rows:
        panels.setdefault(panel, []).append(row)
    yield from panels.items()


def _section(formatter: Any, heading: str, rows: Rows) -> None:
    with formatter.section(_bold(heading)):
        formatter.write_dl(rows)


def _bold(text: str) -> str:
    """Return a text in bold for a terminal whose user wants such things."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[1m{text}\x1b[0m" if wanted else text
