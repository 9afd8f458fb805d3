"""Where a command works: the connection options that every command has, as kubectl spells them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from modelyard_cli.exits import Exit
from modelyard_cli.helptext import Command

PANEL = "Connection"


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster, a namespace and a user, as far as the command line names them."""

    namespace: str = ""
    context: str = ""
    kubeconfig: Path | None = None
    as_user: str = ""


_OPTIONS: dict[str, Any] = {
    "namespace": Annotated[
        str,
        typer.Option(
            "--namespace",
            "-n",
            help="Namespace; that of the context if not given.",
            metavar="NAME",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ],
    "context": Annotated[
        str,
        typer.Option(
            help="Context of the kubeconfig.",
            metavar="NAME",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ],
    "kubeconfig": Annotated[
        Path | None,
        typer.Option(
            help="Kubeconfig file; $KUBECONFIG or ~/.kube/config if not given.",
            metavar="FILE",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ],
    "as_user": Annotated[
        str,
        typer.Option(
            "--as",
            help="User to impersonate.",
            metavar="USER",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ],
}


def verb(
    app: typer.Typer, name: str | None = None, **settings: Any
) -> Callable[[Callable[..., Exit]], Callable[..., Exit]]:
    """Register a function as a command that has the connection options.

    The function's first parameter gets the `Place`; what it returns is the exit code.
    """

    def register(function: Callable[..., Exit]) -> Callable[..., Exit]:
        first, *own = inspect.signature(function).parameters.values()

        def run(**given: Any) -> None:
            found = {field.name: given.pop(field.name) for field in fields(Place)}
            raise typer.Exit(int(function(**{first.name: Place(**found)}, **given)))

        added = [_parameter(name) for name in _OPTIONS]
        ordered = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *added)]
        run.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in ordered}
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        app.command(name, cls=Command, **settings)(run)
        return function

    return register


def _parameter(name: str) -> inspect.Parameter:
    default = next(field.default for field in fields(Place) if field.name == name)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_OPTIONS[name]
    )
