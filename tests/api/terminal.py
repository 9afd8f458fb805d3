"""A real terminal: what a person would see of a command, as text."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from localcluster.prerequisites import TERMINAL_PROGRAMS, install
from tests.api.cli import CommandLine

SCREENS = Path(__file__).parent / "screens"
SECONDS = 60.0
AGES = re.compile(r"\b\d+(s|m\d+s|m|h\d+m|d\d+h|d)\b")
SIZES = frozenset({"COLUMNS", "LINES"})
"""Variables by which a program believes in another size than that of its terminal."""
COLOUR = re.compile(r"\x1b\[(\d+;)*3[0-7]m")
WRITE = os.environ.get("MODELYARD_SCREENS") == "write"
"""Whether screens are written instead of compared."""


@dataclass(frozen=True)
class Terminal:
    """One window of tmux."""

    socket: str

    def tmux(self, *words: str) -> str:
        """Run tmux on a server of its own, which reads no configuration."""
        command = ["tmux", "-u", "-L", self.socket, "-f", "/dev/null", *words]
        own = {k: v for k, v in os.environ.items() if k not in SIZES}
        done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def screen(self, *, colours: bool = False) -> str:
        """Return what is on the screen."""
        flags = ["-e"] if colours else []
        text = self.tmux("capture-pane", "-p", *flags)
        return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"

    def wait(self, text: str) -> str:
        """Return the screen once it has a text."""
        deadline = time.monotonic() + SECONDS
        while text not in (seen := self.screen()):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{seen}"
            time.sleep(0.05)
        return seen

    def press(self, key: str) -> None:
        """Press a key, such as C-c."""
        self.tmux("send-keys", key)


@contextmanager
def opened(run: CommandLine, *words: str, size: tuple[int, int] = (110, 40)) -> Iterator[Terminal]:
    """Run a command in a terminal; when it ends, `exit N` follows what it left."""
    install(TERMINAL_PROGRAMS, print)
    terminal = Terminal(f"modelyard-{uuid4().hex}")
    kept = {k: v for k, v in run.surroundings().items() if k not in SIZES | {"TERM"}}
    kept["LANG"] = "C.UTF-8"
    settings = [part for name, value in kept.items() for part in ("-e", f"{name}={value}")]
    width, height = size
    script = 'trap : INT; "$@"; echo "exit $?"; read -r _'
    command = ["sh", "-c", script, "sh", *run.words(*words)]
    terminal.tmux(
        *("new-session", "-d", "-x", str(width), "-y", str(height)),
        *settings,
        *("--", *command),
    )
    try:
        yield terminal
    finally:
        terminal.tmux("kill-server")


def compare(name: str, screen: str, namespace: str) -> None:
    """Compare a screen with the one that is kept; ages and the namespace differ every time."""
    seen = AGES.sub("AGE", screen).replace(namespace, "team")
    path = SCREENS / f"{name}.txt"
    if WRITE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(seen)
    assert seen == path.read_text(), f"{path} differs; MODELYARD_SCREENS=write writes it anew"
