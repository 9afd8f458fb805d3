"""The command line: what there is to type, and the texts of `--help`.

What a command does is imported when it runs: help and completion must not wait for a Kubernetes
client. The reference page is made of what stands here.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard_cli import options
from modelyard_cli.app_rollout import rollout
from modelyard_cli.exits import Exit
from modelyard_cli.helptext import Command, Commands
from modelyard_cli.options import DryRun, Format
from modelyard_cli.place import Place, verb

if TYPE_CHECKING:
    from modelyard_cli.connection import Api

LOOK, STEER, CHECK = "Look", "Steer", "Check"

app = typer.Typer(
    name="modelyard",
    help="See, steer and understand trainings, versions and rollouts of Modelyard.",
    no_args_is_help=True,
    add_completion=False,
    cls=Commands,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


app.add_typer(rollout, name="rollout", rich_help_panel=STEER)


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
    output: options.OneObject = Format.TABLE,
) -> Exit:
    """Show one object as a living tree.

    State, checks, versions with their pods, last changes; or attempts, measurements and gates.
    """
    from modelyard_cli import looking
    from modelyard_cli.running import run

    return run(place, lambda api: looking.get(api, subject, watch, output))


@verb(app, rich_help_panel=LOOK)
def status(
    place: Place,
    subject: options.Anything,
    timeout: options.Timeout = None,
    through_pauses: options.ThroughPauses = False,
) -> Exit:
    """Wait for an object; the exit code tells how it ended.

    A deployment is reached once the version of its spec gets all traffic from ready pods, a
    training once it is complete, a version once it can be served.
    """
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


@verb(app, rich_help_panel=LOOK)
def why(place: Place, subject: options.Anything) -> Exit:
    """Explain what holds an object back, and the remedy."""
    from modelyard_cli import why as reasons
    from modelyard_cli.running import run

    return run(place, lambda api: reasons.why(api, subject))


@verb(app, rich_help_panel=LOOK)
def compare(
    place: Place,
    *,
    first: options.Version,
    second: options.Version,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also what is the same in both, and parts of the data that did not get worse.",
        ),
    ] = False,
    output: options.Report = Format.TABLE,
) -> Exit:
    """Put two versions side by side.

    Measurements, artifact, recipe, data and libraries; what is the same is left out.
    """
    from modelyard_cli import compare as comparison
    from modelyard_cli.running import run

    return run(place, lambda api: comparison.compare(api, first, second, everything, output))


@verb(app, rich_help_panel=LOOK)
def logs(
    place: Place,
    *,
    subject: options.Anything,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, also with the next attempt.")
    ] = False,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the container before its restart.")
    ] = False,
    attempt: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Of a training; else the last one.")
    ] = None,
    version: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Of a deployment: canary, stable, warm or a ModelVersion; else the newest.",
        ),
    ] = "",
    container: Annotated[
        str,
        typer.Option(
            "--container", "-c", metavar="NAME", help="Else trainer, or server of a deployment."
        ),
    ] = "",
    tail: Annotated[int | None, typer.Option(metavar="LINES", help="Only the last lines.")] = None,
) -> Exit:
    """Print the log of the pod that matters."""
    from modelyard_cli import logs as texts
    from modelyard_cli.running import run

    wanted = texts.Wanted(follow, previous, attempt, version, container, tail)
    return run(place, lambda api: texts.logs(api, subject, wanted))


@verb(app, rich_help_panel=STEER)
def train(
    place: Place,
    *,
    filename: options.File,
    name: Annotated[str, typer.Option(metavar="NAME", help="Instead of the file's.")] = "",
    watch: Annotated[bool, typer.Option(help="Wait for its end.")] = True,
    timeout: options.Timeout = None,
    dry_run: options.Dry = DryRun.NONE,
) -> Exit:
    """Create a training from a file and watch it.

    The exit code tells how it ended; Ctrl-C leaves it running.
    """
    from modelyard_cli import train as training
    from modelyard_cli.running import run

    def work(api: "Api") -> Awaitable[Exit]:
        manifest = training.manifest_in(filename, name)
        return training.train(api, manifest, dry_run is DryRun.SERVER, watch, timeout)

    return run(place, work)


@verb(app, rich_help_panel=STEER)
def predict(
    place: Place,
    *,
    name: options.Deployment,
    filename: options.OptionalFile = None,
    data: Annotated[
        str, typer.Option("--data", "-d", metavar="JSON", help="The input itself.")
    ] = "",
    version: Annotated[
        str,
        typer.Option(metavar="stable|canary", help="Else whatever the public Service chooses."),
    ] = "",
) -> Exit:
    """Send one request to a deployment.

    In TF-Serving's REST form, through the API server; a bare list is taken for instances.
    """
    from modelyard_cli import predict as prediction
    from modelyard_cli.running import run

    if version not in {"", "stable", "canary"}:
        raise typer.BadParameter("--version is stable or canary")

    def work(api: "Api") -> Awaitable[Exit]:
        return prediction.predict(api, name, prediction.body_in(filename, data), version)

    return run(place, work)


@verb(app, rich_help_panel=CHECK)
def doctor(place: Place, output: options.Report = Format.TABLE) -> Exit:
    """Check kinds, operator, rights, Secrets and GPUs."""
    from modelyard_cli import doctor as examination
    from modelyard_cli.running import run

    return run(place, lambda api: examination.doctor(api, output))


@verb(app, rich_help_panel=CHECK)
def uninstall(
    place: Place,
    check: Annotated[
        bool, typer.Option("--check", help="Required: nothing is removed from here.")
    ] = False,
) -> Exit:
    """Tell what removing Modelyard would keep and lose.

    It changes nothing, and prints the steps in their order.
    """
    from modelyard_cli import uninstall as removal
    from modelyard_cli.running import run

    if not check:
        raise typer.BadParameter("give --check; what it prints tells how to uninstall")
    return run(place, removal.check)


@app.command(cls=Command, rich_help_panel=CHECK)
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
    """Print the script that completes `modelyard`.

    For `kubectl modelyard`, kubectl's own completion (1.26 or later) does it without any script.
    """
    from modelyard_cli.completion import script

    if shell not in {"bash", "zsh", "fish"}:
        raise typer.BadParameter(f"{shell} is not one of bash, zsh, fish")
    print(script(shell))


@app.command(cls=Command, rich_help_panel=CHECK)
def version(
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Print the versions of this program and its API."""
    from modelyard_cli.release import print_release

    print_release(json)
