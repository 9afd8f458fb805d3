"""How long the command line takes to start: what a person waits for before anything happens.

`list` asks an API server that does not exist, so that it shows the imports and nothing else.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
TARGET = 0.35
"""Seconds."""
COMMANDS = {
    "python itself": None,
    "--help": ["--help"],
    "rollout --help": ["rollout", "--help"],
    "version": ["version"],
    "list": ["list", "--kubeconfig", "/nowhere"],
}
JUDGED = ("--help", "version")


def once(words: list[str] | None) -> float:
    """Run a command; return the seconds it took."""
    line = ["-c", "pass"] if words is None else ["-m", "modelyard_cli", *words]
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("operator", "cli"))
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *line], env={**kept, "PYTHONPATH": paths}, capture_output=True, check=False
    )
    return time.perf_counter() - begun


def main() -> None:
    """Print a table, then one JSON object; the commands take turns."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for words in COMMANDS.values():
        once(words)  # leaves bytecode
    for _ in range(ROUNDS):
        for name, words in COMMANDS.items():
            taken[name].append(once(words))
    table = Table("command", "median s", "max s", "target", title=f"{ROUNDS} interleaved rounds")
    for name, values in taken.items():
        target = f"{TARGET:.2f}" if name in JUDGED else ""
        table.add_row(name, f"{statistics.median(values):.3f}", f"{max(values):.3f}", target)
    Console().print(table)
    medians = {name: round(statistics.median(values), 3) for name, values in taken.items()}
    print(json.dumps({"bench": "cli", "unit": "s", "rounds": ROUNDS, "median": medians}))


if __name__ == "__main__":
    main()
