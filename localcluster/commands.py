"""Run programs: one place that turns a failed command into a readable error."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from localcluster.errors import Refused

TAIL = 30
PROGRESS_SECONDS = 10.0
SHOWN = 100


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
        raise _not_installed(words) from error
    except subprocess.TimeoutExpired as error:
        raise Refused(f"`{' '.join(words[:6])}` did not end in {timeout} s", "try again") from error
    if done.returncode:
        raise Refused(_failed(words, done.returncode, done.stdout + done.stderr), "see above")
    return done.stdout


def run_slowly(
    what: str,
    *command: str | Path,
    progress: Callable[[str], None],
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a program that takes long: every ten seconds tell how long, and what it printed last.

    Raises:
        Refused: it is not installed, or it failed; the message ends with what it printed last.
    """
    words = [str(word) for word in command]
    started = time.monotonic()
    # Opened for appending: what we read moves the offset that the program shares with us.
    with tempfile.TemporaryFile("a+") as output:
        try:
            process = subprocess.Popen(words, env=env, stdout=output, stderr=subprocess.STDOUT)
        except FileNotFoundError as error:
            raise _not_installed(words) from error
        with process:
            while _goes_on(process):
                elapsed = time.monotonic() - started
                progress(f"  {what}: {elapsed:.0f} s, {_last_line(output)}")
        if process.returncode:
            output.seek(0)
            raise Refused(_failed(words, process.returncode, output.read()), "see above")


def _goes_on(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the time between two lines of progress; say whether the program still runs."""
    try:
        process.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _last_line(output: IO[str]) -> str:
    output.seek(0)
    lines = output.read().strip().splitlines()
    return lines[-1][:SHOWN] if lines else "no output yet"


def _not_installed(words: list[str]) -> Refused:
    fix = "run `python -m localcluster prerequisites`"
    return Refused(f"{words[0]} is not installed", fix)


def attempt(*command: str | Path, env: Mapping[str, str] | None = None) -> bool:
    """Run a program whose failure is an answer, and return whether it succeeded."""
    words = [str(word) for word in command]
    return subprocess.run(words, env=env, capture_output=True, check=False).returncode == 0


def _failed(words: list[str], code: int, output: str) -> str:
    tail = "\n".join(output.strip().splitlines()[-TAIL:])
    return f"`{' '.join(words[:6])}` ended with {code}:\n{tail}\n"
