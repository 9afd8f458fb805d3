"""Run programs: one place that turns a failed command into a readable error."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from localcluster.errors import Refused

TAIL = 30


def run(
    *command: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Raises:
        Refused: it is not installed, or it failed; the message ends with what it printed last.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            env=env,
            cwd=cwd,
            timeout=timeout,
            text=True,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise Refused(
            f"{words[0]} is not installed", "run `python -m localcluster prerequisites`"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Refused(f"`{' '.join(words[:6])}` did not end in {timeout} s", "try again") from error
    if done.returncode:
        raise Refused(_failed(words, done.returncode, done.stdout + done.stderr), "see above")
    return done.stdout


def attempt(*command: str | Path, env: Mapping[str, str] | None = None) -> bool:
    """Run a program whose failure is an answer, and return whether it succeeded."""
    words = [str(word) for word in command]
    return subprocess.run(words, env=env, capture_output=True, check=False).returncode == 0


def _failed(words: list[str], code: int, output: str) -> str:
    tail = "\n".join(output.strip().splitlines()[-TAIL:])
    return f"`{' '.join(words[:6])}` ended with {code}:\n{tail}\n"
