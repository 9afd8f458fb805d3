"""Runs the work of a command, and turns whatever ends it into an exit code and two lines."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import aiohttp

from modelyard.api.names import GROUP
from modelyard_cli.connection import Api, Refusal, connected
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.place import Place
from modelyard_cli.screen import complain

CONFLICT, INVALID = 409, 422

Work = Callable[[Api], Awaitable[Exit]]


def run(place: Place, work: Work) -> Exit:
    """Do the work as the user of a place; return the exit code."""
    try:
        return asyncio.run(_connected(place, work))
    except Stop as ending:
        stop = ending
    except Refusal as refusal:
        stop = explained(refusal)
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.REACHED
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        text = f"the API server does not answer: {str(error) or type(error).__name__}"
        stop = Stop(Exit.API_ERROR, text, "check the cluster of `kubectl config current-context`")
    complain(stop)
    return stop.code


async def _connected(place: Place, work: Work) -> Exit:
    async with connected(place) as api:
        return await work(api)


def explained(refusal: Refusal) -> Stop:
    """Return what a refusal of the API server means for the user."""
    text = str(refusal)
    if refusal.forbidden:
        return Stop(Exit.FORBIDDEN, f"not permitted: {text}", _right(text))
    if refusal.unknown_kind:
        remedy = "install Modelyard, then look with `kubectl modelyard doctor`"
        return Stop(Exit.NOT_FOUND, "this cluster does not know the kinds of Modelyard", remedy)
    if refusal.missing:
        return Stop(Exit.NOT_FOUND, text)
    if refusal.status == CONFLICT:
        return Stop(Exit.WRONG_STATE, text, "look at it with `kubectl modelyard get`, try again")
    if refusal.status == INVALID:
        return Stop(Exit.USAGE, f"refused: {text}", "correct what it says, and try again")
    answer = f"the API server answered {refusal.status}"
    return Stop(Exit.API_ERROR, f"{answer}: {text}" if text else answer)


def _right(text: str) -> str:
    """Return which role of the chart brings a right that is missing."""
    if GROUP not in text:
        return "ask whoever administers the namespace for this right"
    reads = any(f"cannot {verb} " in text for verb in ("get", "list", "watch"))
    role = "viewer" if reads else "trainer" if "modeltrainings" in text else "deployer"
    return f"ask for the role modelyard-{role} in this namespace"
