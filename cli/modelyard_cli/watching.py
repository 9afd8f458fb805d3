"""Waiting for an object: a live picture on a terminal, one line per change in a pipe."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from rich.live import Live

from modelyard_cli import screen
from modelyard_cli.connection import Api
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.kinds import Subject
from modelyard_cli.mirror import Mirror, mirror_of, mirrored
from modelyard_cli.state import Standing, standing_of
from modelyard_cli.views import view

REDRAW_SECONDS = 1.0
"""Ages go on although nothing changes."""
SETTLE_SECONDS = 0.05
"""Changes that come together are drawn together."""

Ends = Callable[[Standing], bool]


async def look(api: Api, subject: Subject) -> None:
    """Draw an object once."""
    mirror = mirror_of(api, subject)
    await mirror.read(api)
    screen.show(view(mirror, datetime.now(UTC)))


async def follow(api: Api, subject: Subject, ends: Ends, seconds: float | None = None) -> Standing:
    """Show an object until its standing ends the wait.

    Raises:
        Stop: the time is up, or the object is gone.
    """
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    if screen.live():
        async with mirrored(api, subject) as mirror:
            return await _drawn(mirror, ends, deadline)
    async with mirrored(api, subject, alone=True) as mirror:
        return await _printed(mirror, ends, deadline)


async def _drawn(mirror: Mirror, ends: Ends, deadline: float | None) -> Standing:
    """Draw the picture anew at each change."""
    with Live(console=screen.console(), auto_refresh=False, vertical_overflow="crop") as picture:
        while True:
            standing = standing_of(mirror.kind, mirror.subject.raw)
            picture.update(view(mirror, datetime.now(UTC)), refresh=True)
            if ends(standing):
                return standing
            if await mirror.changed(_left(deadline, standing)):
                await asyncio.sleep(SETTLE_SECONDS)


async def _printed(mirror: Mirror, ends: Ends, deadline: float | None) -> Standing:
    """Print one line for each change."""
    told = ""
    while True:
        standing = standing_of(mirror.kind, mirror.subject.raw)
        if standing.line != told:
            told = standing.line
            print(f"{datetime.now(UTC):%H:%M:%SZ} {mirror.name}: {told}", flush=True)
        if ends(standing):
            return standing
        await mirror.changed(_left(deadline, standing))


def _left(deadline: float | None, standing: Standing) -> float:
    """Return how long to wait for a change.

    Raises:
        Stop: the time is up.
    """
    if deadline is None:
        return REDRAW_SECONDS
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise Stop(Exit.TIMED_OUT, f"not reached in time: {standing.line}", standing.remedy)
    return min(REDRAW_SECONDS, left)


def concluded(standing: Standing) -> Exit:
    """Return how a command ends whose wait a standing has ended; say what is wrong.

    Raises:
        Stop: it was not reached.
    """
    if standing.exit in {None, Exit.REACHED}:
        return Exit.REACHED
    raise Stop(standing.exit or Exit.REACHED, standing.line, standing.remedy)
