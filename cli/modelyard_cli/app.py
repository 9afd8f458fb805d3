"""The command line: what there is to type, and the texts of `--help`.

What a command does is imported when it runs: help and completion must not wait for a Kubernetes
client. The reference page is made of what stands here.
"""

from typing import Annotated

import typer

from modelyard_cli import options
from modelyard_cli.exits import Exit
from modelyard_cli.options import Format
from modelyard_cli.place import Place, verb

LOOK, STEER, CHECK = "Look", "Steer", "Check"

app = typer.Typer(
    name="modelyard",
    help="See, steer and understand trainings, versions and rollouts of Modelyard.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@verb(app, "list", rich_help_panel=LOOK)
def list_(
    place: Place,
    *,
    kind: Annotated[
        str, typer.Argument(metavar="[KIND]", help="trainings, versions or deployments; else all.")
    ] = "",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")
    ] = False,
    selector: Annotated[
        str, typer.Option("--selector", "-l", metavar="LABELS", help="Only with these labels.")
    ] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="Only of this model.")] = "",
    output: options.Output = Format.TABLE,
    watch: options.Watch = False,
) -> Exit:
    """List trainings, versions and deployments, newest first."""
    from modelyard_cli import listing
    from modelyard_cli.running import run

    request = listing.Request(kind, all_namespaces, selector, model, output)
    work = listing.watch_objects if watch else listing.list_objects
    return run(place, lambda api: work(api, request))


@verb(app, rich_help_panel=LOOK)
def get(
    place: Place,
    subject: options.Anything,
    watch: options.Watch = False,
    output: options.Output = Format.TABLE,
) -> Exit:
    """Show one object as a living tree: state, checks, versions, Jobs, pods, last changes."""
    from modelyard_cli import looking
    from modelyard_cli.running import run

    return run(place, lambda api: looking.get(api, subject, watch, output))


@verb(app, rich_help_panel=LOOK)
def status(
    place: Place,
    subject: options.Anything,
    timeout: options.Timeout = None,
    through_pauses: Annotated[
        bool, typer.Option(help="Go on waiting where only a person can go on.")
    ] = False,
) -> Exit:
    """Wait until an object is what its spec asks for; the exit code tells how that ended."""
    from modelyard_cli import looking
    from modelyard_cli.running import run

    return run(place, lambda api: looking.status(api, subject, timeout, through_pauses, None))


@verb(app, rich_help_panel=LOOK)
def versions(
    place: Place,
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    output: options.Output = Format.TABLE,
) -> Exit:
    """List the versions of a model, newest first."""
    from modelyard_cli import listing
    from modelyard_cli.running import run

    return run(place, lambda api: listing.versions_of(api, model, output))


@app.command(rich_help_panel=CHECK)
def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="bash|zsh|fish",
            help="The shell.",
            autocompletion=lambda: ["bash", "zsh", "fish"],
        ),
    ],
) -> None:
    """Print the script that completes `modelyard`, names of objects included.

    For `kubectl modelyard`, kubectl's own completion (1.26 or later) does it without any script.
    """
    from modelyard_cli.completion import script

    if shell not in {"bash", "zsh", "fish"}:
        raise typer.BadParameter(f"{shell} is not one of bash, zsh, fish")
    print(script(shell))


@app.command(rich_help_panel=CHECK)
def version(output: options.Output = Format.TABLE) -> None:
    """Print the version of this program, and of the API that it speaks."""
    from modelyard_cli.release import print_release

    print_release(output)
