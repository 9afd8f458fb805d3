"""What goes to the terminal: colours, tables, errors; and JSON, YAML and names for programs."""

import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from modelyard_cli.connection import Raw
from modelyard_cli.exits import Stop
from modelyard_cli.options import Format
from modelyard_cli.words import STYLES, mark_of

PIPE_WIDTH = 500
"""A line that is read by a program is not broken."""
GAP = 3


def console() -> Console:
    """Return the standard output; rich heeds NO_COLOR and TERM by itself."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=False, width=width)


def show(picture: RenderableType) -> None:
    """Print a picture; for a pipe without the blanks that fill lines."""
    to = console()
    if to.is_terminal:
        to.print(picture)
        return
    with to.capture() as captured:
        to.print(picture)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def live() -> bool:
    """Tell whether somebody looks at a terminal, where lines can be drawn anew."""
    return console().is_terminal and not console().is_dumb_terminal


def tell(text: str | Text) -> None:
    """Print a line."""
    console().print(text, soft_wrap=True)


def note(text: str) -> None:
    """Print a line for people beside the output."""
    Console(stderr=True, highlight=False, markup=False).print(text, style="dim", soft_wrap=True)


def complain(stop: Stop) -> None:
    """Print why a command ends, and what to do about it."""
    to = Console(stderr=True, highlight=False, emoji=False, markup=False)
    if str(stop):
        to.print(Text("error: ", "bold red").append(str(stop), "default"), soft_wrap=True)
    if stop.remedy:
        to.print(Text("hint:  ", "bold cyan").append(stop.remedy, "default"), soft_wrap=True)


def dump(value: object, form: Format) -> None:
    """Print an object for programs."""
    if form is Format.JSON:
        print(json.dumps(value, indent=2, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415 - a tenth of a second that only this format needs

    print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")


def without_noise(raw: Raw) -> Raw:
    """Return an object without what only field managers read, as kubectl shows it."""
    kept = {k: v for k, v in raw.get("metadata", {}).items() if k != "managedFields"}
    return {**raw, "metadata": kept}


def phased(phase: str) -> Text:
    """Return a phase with its mark, in its colour."""
    mark = mark_of(phase)
    return Text(f"{mark} {phase}", STYLES[mark])


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str | Text]], headed: bool = True
) -> Table:
    """Return a table as kubectl prints them: no lines, columns as narrow as they may be."""
    made = Table(
        box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim", show_header=headed
    )
    for header in headers:
        made.add_column(header.upper(), no_wrap=True, overflow="ellipsis")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made
