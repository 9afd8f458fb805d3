"""The figures of a benchmark of the operator: a table for people, one line of JSON for programs."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table; a target of None is only reported."""

    what: str
    value: float
    unit: str
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        return "met" if self.value <= self.target else "MISSED"

    @property
    def line(self) -> str:
        """The figure as a line of the table."""
        target = "" if self.target is None else f"<= {self.target:g}"
        return f"{self.what:<62}{self.value:>9.2f} {self.unit:<4}{target:>8}  {self.verdict}"

    @property
    def entry(self) -> dict[str, object]:
        """The figure for programs."""
        met = {} if self.target is None else {"target": self.target, "met": self.verdict == "met"}
        return {"what": self.what, "value": round(self.value, 3), "unit": self.unit, **met}


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


Scenario = Callable[[bool], Awaitable[list[Figure]]]
"""Measures; is told whether to run the operators under a profiler."""


def run(bench: str, about: str | None, scenarios: Mapping[str, Scenario]) -> int:
    """Run the scenarios that the command line names, or all; return 1 if a target was missed."""
    given = _arguments(about, scenarios)
    chosen = {name: scenarios[name] for name in given.scenarios or scenarios}
    figures = asyncio.run(_measured(chosen, given.profile))
    print("\n".join(figure.line for figure in figures))
    print(f"load average of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(json.dumps({"bench": bench, "figures": [figure.entry for figure in figures]}))
    return int(any(figure.verdict == "MISSED" for figure in figures))


def _arguments(about: str | None, scenarios: Mapping[str, Scenario]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(scenarios))
    parser.add_argument("--profile", action="store_true", help="say where the time went")
    found = parser.parse_args()
    if unknown := set(found.scenarios) - set(scenarios):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return found


async def _measured(scenarios: Mapping[str, Scenario], profiled: bool) -> list[Figure]:
    if task := asyncio.current_task():  # so that SIGTERM ends operators and API server, too
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figures: list[Figure] = []
    for name, scenario in scenarios.items():
        print(f"--- {name}", file=sys.stderr)
        figures += await scenario(profiled)
    return figures
