"""Completion of object names, also for kubectl, which asks `kubectl_complete-modelyard`."""

import os
import shlex
import sys
from collections.abc import Callable

import typer

SECONDS = 2.0
"""A person who presses Tab waits no longer."""
NO_FILES = ":4"
"""Cobra's directive: these are all candidates, do not offer files."""
PROGRAM = "modelyard"
VARIABLE = "_MODELYARD_COMPLETE"

Candidates = list[tuple[str, str]]


def names_of(*words: str) -> Callable[[typer.Context, str], Candidates]:
    """Return a function that completes names of some kinds; of several, as `kind/name`."""

    def complete(ctx: typer.Context, incomplete: str) -> Candidates:
        import asyncio

        from modelyard_cli.names import found_names

        try:
            return asyncio.run(found_names(ctx.params, words, incomplete, SECONDS))
        except Exception:
            return []

    return complete


def prepare() -> None:
    """Make ready to answer a shell, if it is one that runs this program."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()


def plugin_main() -> None:
    """Answer kubectl: candidates with descriptions, one a line, then a directive."""
    from modelyard_cli.app import app

    *before, last = sys.argv[1:] or [""]
    words = shlex.join([PROGRAM, *before]) + " " + (shlex.quote(last) if last else "")
    os.environ |= {
        VARIABLE: "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": words,
    }
    prepare()
    try:
        app(prog_name=PROGRAM)
    finally:
        print(NO_FILES, flush=True)


def script(shell: str) -> str:
    """Return the script that lets a shell complete `modelyard`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell)
