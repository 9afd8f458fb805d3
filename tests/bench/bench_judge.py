"""How soon a bad canary is failed, and how often a good one: the judge beside a fixed threshold.

Simulated traffic (`tests/simulation/traffic.py`), looked at every 10 s for 10 minutes; both rules
see the same counters. The threshold is what most tools offer: the canary's error ratio over the
last minute, above a fixed bound at one look, or at three in a row.
"""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path[:0] = [str(root := Path(__file__).parents[2]), str(root / "operator")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from modelyard.api.rollout import ErrorRateCheck  # noqa: E402
from modelyard.plan.judge.counters import Counters  # noqa: E402
from modelyard.plan.judge.errors import ErrorLimits  # noqa: E402
from modelyard.plan.judge.looks import Limits, failing, look  # noqa: E402
from modelyard.plan.judge.state import JudgeState  # noqa: E402
from tests.bench.figures import percentile  # noqa: E402
from tests.simulation.traffic import World  # noqa: E402

ROLLOUTS = 300
INTERVAL = 10
LOOKS = 60
WINDOW = 6
"""Looks that the threshold's ratio goes back."""
DEFAULT = ErrorRateCheck()
LIMITS = Limits(ErrorLimits(*map(float, (DEFAULT.max, DEFAULT.margin, DEFAULT.alpha))))

Reads = list[tuple[Counters, Counters]]
Rule = Callable[[Reads], int | None]
"""Returns the look that fails the canary, None if none does."""


def sequential(reads: Reads) -> int | None:
    """Judge with the defaults of a check `errorRate`."""
    state = JudgeState()
    for number, (stable, canary) in enumerate(reads):
        state = look(state, stable, canary, INTERVAL if number else 0, LIMITS)
        if failing(state, LIMITS):
            return number
    return None


def threshold(reads: Reads, bound: float, in_a_row: int) -> int | None:
    """Fail once the ratio of the last minute was above the bound so many looks in a row."""
    above = 0
    for number in range(WINDOW, len(reads)):
        new, old = reads[number][1], reads[number - WINDOW][1]
        requests = new.requests - old.requests
        errors = new.server_errors - old.server_errors
        above = above + 1 if errors > bound * requests else 0
        if above == in_a_row:
            return number
    return None


RULES: dict[str, Rule] = {
    "judge": sequential,
    "above 2 %": partial(threshold, bound=0.02, in_a_row=1),
    "above 2 %, three times": partial(threshold, bound=0.02, in_a_row=3),
    "above 5 %": partial(threshold, bound=0.05, in_a_row=1),
}
SLOW, BUSY = {"stable": 450, "canary": 50}, {"stable": 4500, "canary": 500}
"""Canaries with 5 and with 50 requests/s, a tenth of the traffic."""
BURSTS = {"correlation": 0.05}
GOOD = {
    "as good as stable (1 %), 5/s": World(**SLOW),
    "as good as stable (1 %), 5/s, in bursts": World(**SLOW, **BURSTS),
    "as good as stable (1 %), 50/s, in bursts": World(**BUSY, **BURSTS),
    "as good as stable (3 %), 50/s": World(**BUSY, stable_errors=0.03, canary_errors=0.03),
}
BAD = {
    "1 to 3 %, 5/s": World(**SLOW, canary_errors=0.03),
    "1 to 3 %, 50/s": World(**BUSY, canary_errors=0.03),
    "1 to 3 %, 50/s, in bursts": World(**BUSY, canary_errors=0.03, **BURSTS),
    "0.1 to 1 %, 50/s": World(**BUSY, stable_errors=0.001, canary_errors=0.01),
    "1 to 50 %, 5/s": World(**SLOW, canary_errors=0.5),
}


@dataclass(frozen=True)
class Outcome:
    """What one rule made of many rollouts of one kind."""

    world: str
    rule: str
    failed: float
    """Share of the rollouts."""
    seconds: float | None
    """Median time to Fail; None if fewer than half failed."""


def judged(seed: int, world: World) -> list[int | None]:
    """Return when each rule fails one rollout."""
    reads = list(world.reads(seed, LOOKS))
    return [rule(reads) for rule in RULES.values()]


def outcomes(pool: ProcessPoolExecutor, name: str, world: World) -> list[Outcome]:
    """Return what the rules make of the rollouts of a world."""
    found = list(pool.map(partial(judged, world=world), range(ROLLOUTS), chunksize=25))
    made = []
    for rule, ends in zip(RULES, zip(*found, strict=True), strict=True):
        times = [INTERVAL * end if end is not None else float("inf") for end in ends]
        failed = sum(end is not None for end in ends) / ROLLOUTS
        middle = percentile(times, 0.5)
        made.append(Outcome(name, rule, failed, middle if middle < float("inf") else None))
    return made


def main() -> None:
    """Print a table of each kind, then one JSON object."""
    with ProcessPoolExecutor(2) as pool:
        good = [o for name, world in GOOD.items() for o in outcomes(pool, name, world)]
        bad = [o for name, world in BAD.items() for o in outcomes(pool, name, world)]
    table = Table(f"{ROLLOUTS} canaries each", *RULES, title="good ones failed within 10 minutes")
    for name in GOOD:
        table.add_row(name, *(f"{o.failed:.1%}" for o in good if o.world == name))
    Console(width=110).print(table)
    table = Table("errors", *RULES, title="median seconds until a bad one failed (share failed)")
    for name in BAD:
        table.add_row(name, *map(_time, (o for o in bad if o.world == name)))
    Console(width=110).print(table)
    lines = [vars(outcome) for outcome in (*good, *bad)]
    print(json.dumps({"bench": "judge", "rollouts": ROLLOUTS, "outcomes": lines}))


def _time(outcome: Outcome) -> str:
    median = "never" if outcome.seconds is None else f"{outcome.seconds:.0f}"
    return f"{median} ({outcome.failed:.1%})"


if __name__ == "__main__":
    main()
