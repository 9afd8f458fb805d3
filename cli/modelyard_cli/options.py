"""Arguments and options that several commands have, spelled once."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelyard_cli.completion import names_of
from modelyard_cli.words import seconds_of


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class DryRun(StrEnum):
    """Who judges a change that is not made."""

    NONE = "none"
    SERVER = "server"


def _span(text: object) -> float:
    """Read a span, or a default, which is a number already."""
    try:
        return seconds_of(str(text))
    except ValueError:
        raise typer.BadParameter("write it as 90s, 5m or 1h30m") from None


def _only(*formats: Format) -> Callable[[Format], Format]:
    """Return a check of `-o` for a command that does not have every format."""

    def check(chosen: Format) -> Format:
        if chosen not in formats:
            raise typer.BadParameter(f"{chosen} is not one of {', '.join(formats)}")
        return chosen

    return check


HOW = "How the result is written."
DEPLOYMENT_WORDS = frozenset({"deployment", "deployments", "modeldeployment", "mdep"})


def _deployment_name(given: str) -> str:
    """Return the name in `NAME` or `deployment/NAME`."""
    word, slash, name = given.rpartition("/")
    if slash and word not in DEPLOYMENT_WORDS:
        raise typer.BadParameter(f"{given} is no deployment: write NAME or deployment/NAME")
    return name


Output = Annotated[Format, typer.Option("--output", "-o", help=HOW)]
OneObject = Annotated[
    Format,
    typer.Option(
        "--output",
        "-o",
        help=HOW,
        metavar="table|json|yaml|name",
        callback=_only(Format.TABLE, Format.JSON, Format.YAML, Format.NAME),
    ),
]
Report = Annotated[
    Format,
    typer.Option(
        "--output",
        "-o",
        help=HOW,
        metavar="table|json|yaml",
        callback=_only(Format.TABLE, Format.JSON, Format.YAML),
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing changes.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Longest wait, such as 90s or 30m; exit code 4 after it. Without it there is no end.",
        parser=_span,
        metavar="SPAN",
        show_default=False,
    ),
]
ThroughPauses = Annotated[
    bool, typer.Option("--through-pauses", help="Go on waiting where only a person can go on.")
]
Acknowledged = Annotated[
    float,
    typer.Option(
        "--timeout",
        help="How long to wait for the operator's answer.",
        parser=_span,
        metavar="SPAN",
        show_default="30s",
    ),
]
Dry = Annotated[
    DryRun,
    typer.Option("--dry-run", help="`server` lets the API server judge, and stores nothing."),
]
Reason = Annotated[
    str, typer.Option(help="Why; stands in the history.", metavar="TEXT", show_default=False)
]
Deployment = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The ModelDeployment.",
        autocompletion=names_of("deployment"),
        callback=_deployment_name,
    ),
]
Anything = Annotated[
    list[str],
    typer.Argument(
        metavar="TYPE/NAME",
        help="A deployment, training or version; NAME alone if only one is called so.",
        autocompletion=names_of("deployment", "training", "version"),
    ),
]
Version = Annotated[
    str,
    typer.Argument(metavar="VERSION", help="A ModelVersion.", autocompletion=names_of("version")),
]
File = Annotated[Path, typer.Option("--filename", "-f", help="File; - reads the standard input.")]
OptionalFile = Annotated[
    Path | None, typer.Option("--filename", "-f", help="File with JSON; - is the standard input.")
]
