"""Schedules by seed: `python -m tests.simulation.hunt FIRST LAST` stops at the first failure."""

import os
import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from statistics import median

from tests.simulation.branches import Branches, Way
from tests.simulation.schedule import Outcome, Schedule

SHOWN = 40
PORTION = 100
"""Schedules that a process runs before it reports."""
WATCHED = 1000
"""So many schedules are watched for branches, which makes them take more than twice their time."""


class FoundError(AssertionError):
    """A schedule broke something; the message holds how to see it again."""


@dataclass
class Tally:
    """What a series of schedules was like."""

    steps: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    mix: Counter[str] = field(default_factory=Counter)
    reconciles: int = 0
    writes: int = 0
    taken: set[Way] = field(default_factory=set)

    def add(self, outcome: Outcome) -> None:
        self.steps.append(outcome.steps)
        self.faults.append(outcome.faults.total())
        self.mix += outcome.faults
        self.reconciles += outcome.reconciles
        self.writes += outcome.writes

    def join(self, other: "Tally") -> None:
        self.steps += other.steps
        self.faults += other.faults
        self.mix += other.mix
        self.reconciles += other.reconciles
        self.writes += other.writes
        self.taken |= other.taken

    def __str__(self) -> str:
        mix = ", ".join(f"{name} {count}" for name, count in self.mix.most_common())
        return (
            f"{len(self.steps)} schedules, {self.reconciles} reconciles, {self.writes} writes; "
            f"median of {median(self.steps):.0f} steps and {median(self.faults):.0f} faults\n"
            f"faults: {mix}"
        )


def run_seed(seed: int) -> Outcome:
    """Run one schedule.

    Raises:
        FoundError: something that must hold does not.
    """
    schedule = Schedule(random.Random(seed))  # noqa: S311 - repeatable, not secret
    try:
        return schedule.run()
    except Exception as error:
        steps = "\n  ".join(schedule.trace[-SHOWN:])
        raise FoundError(
            f"seed {seed}, step {len(schedule.trace)}: {type(error).__name__}: {error}\n  {steps}\n"
            f"again: python -m tests.simulation.hunt {seed} {seed + 1}"
        ) from error


def run_portion(first: int, last: int) -> Tally:
    """Run the schedules of some seeds, and note which branches the first ones take."""
    tally, branches = Tally(), watch()
    for seed in range(first, last):
        with branches if seed < WATCHED else nullcontext():
            tally.add(run_seed(seed))
    tally.taken = branches.taken
    return tally


@cache
def watch() -> Branches:
    """Return the watch of this process: what it has seen once costs nothing from then on."""
    return Branches()


def run_all(first: int, last: int) -> Tally:
    """Run the schedules of many seeds on all processors."""
    tally, bounds = Tally(), [*range(first, last, PORTION), last]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for portion in pool.map(run_portion, *zip(*pairwise(bounds), strict=True)):
            tally.join(portion)
    return tally


def main(first: int, last: int) -> int:
    tally = Tally()
    for seed in range(first, last):
        try:
            tally.add(run_seed(seed))
        except FoundError as found:
            print(found)
            return 1
    print(tally)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
