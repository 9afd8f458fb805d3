"""The command line of `rollout`."""

from typing import Annotated

import typer

from modelyard_cli import options
from modelyard_cli.exits import Exit
from modelyard_cli.helptext import Commands
from modelyard_cli.options import DryRun, Format
from modelyard_cli.place import Place, verb

rollout = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="See and steer the rollout of a deployment.",
)
ANSWER_SECONDS = 30.0


@verb(rollout)
def status(
    place: Place,
    name: options.Deployment,
    timeout: options.Timeout = None,
    through_pauses: options.ThroughPauses = False,
) -> Exit:
    """Wait for a rollout; the exit code tells how it ended."""
    from modelyard_cli import looking
    from modelyard_cli.kinds import DEPLOYMENT
    from modelyard_cli.running import run

    words = [name]
    return run(place, lambda api: looking.status(api, words, timeout, through_pauses, DEPLOYMENT))


@verb(rollout)
def history(
    place: Place,
    name: options.Deployment,
    revision: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Only this change, with its evidence."),
    ] = None,
    output: options.Output = Format.TABLE,
) -> Exit:
    """Show what was served, who changed it, and why."""
    from modelyard_cli import history as changes
    from modelyard_cli.running import run

    return run(place, lambda api: changes.history(api, name, revision, output))


@verb(rollout)
def promote(
    place: Place,
    *,
    name: options.Deployment,
    full: Annotated[bool, typer.Option("--full", help="To all of the traffic at once.")] = False,
    reason: options.Reason = "",
    dry_run: options.Dry = DryRun.NONE,
    timeout: options.Acknowledged = ANSWER_SECONDS,
) -> Exit:
    """End the present step or pause.

    With --full the steps that follow are neither held nor judged.
    """
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, reason, dry_run is DryRun.SERVER, timeout)
    return run(place, lambda api: orders.promote(api, order, full))


@verb(rollout)
def pause(place: Place, name: options.Deployment, dry_run: options.Dry = DryRun.NONE) -> Exit:
    """Hold a rollout where it is.

    Sets spec.paused; checks that fail still end it.
    """
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, dry_run=dry_run is DryRun.SERVER)
    return run(place, lambda api: orders.hold(api, order, paused=True))


@verb(rollout)
def resume(place: Place, name: options.Deployment, dry_run: options.Dry = DryRun.NONE) -> Exit:
    """Let a rollout go on that was paused."""
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, dry_run=dry_run is DryRun.SERVER)
    return run(place, lambda api: orders.hold(api, order, paused=False))


@verb(rollout)
def abort(
    place: Place,
    name: options.Deployment,
    reason: options.Reason = "",
    dry_run: options.Dry = DryRun.NONE,
    timeout: options.Acknowledged = ANSWER_SECONDS,
) -> Exit:
    """End a rollout: all traffic back to stable.

    The new version is not tried again until the spec changes, or by retry.
    """
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, reason, dry_run is DryRun.SERVER, timeout)
    return run(place, lambda api: orders.abort(api, order))


@verb(rollout)
def retry(
    place: Place,
    name: options.Deployment,
    reason: options.Reason = "",
    dry_run: options.Dry = DryRun.NONE,
    timeout: options.Acknowledged = ANSWER_SECONDS,
) -> Exit:
    """Try a version again that failed."""
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, reason, dry_run is DryRun.SERVER, timeout)
    return run(place, lambda api: orders.retry(api, order))


@verb(rollout)
def undo(
    place: Place,
    *,
    name: options.Deployment,
    to: Annotated[
        str,
        typer.Option(
            metavar="VERSION", help="A ModelVersion, or the number of a change in the history."
        ),
    ] = "",
    reason: options.Reason = "",
    dry_run: options.Dry = DryRun.NONE,
    timeout: options.Acknowledged = ANSWER_SECONDS,
) -> Exit:
    """Go back to the version before, or to another one.

    Names it in spec.modelVersionName; it must be ready to be served.
    """
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, reason, dry_run is DryRun.SERVER, timeout)
    return run(place, lambda api: orders.undo(api, order, to))


@verb(rollout)
def restart(place: Place, name: options.Deployment, dry_run: options.Dry = DryRun.NONE) -> Exit:
    """Replace the pods of the serving version one by one."""
    from modelyard_cli import orders
    from modelyard_cli.running import run

    order = orders.Order(name, dry_run=dry_run is DryRun.SERVER)
    return run(place, lambda api: orders.restart(api, order))
