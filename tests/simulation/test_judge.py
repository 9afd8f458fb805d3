"""The rollout judge against traffic that fools naive tests: false alarms, power, restarts.

A sample here; `make prove` judges 10,000 rollouts of every kind.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from scipy import stats

from modelyard.plan.judge.counters import Counters
from modelyard.plan.judge.errors import ErrorLimits
from modelyard.plan.judge.latency import LatencyLimits
from modelyard.plan.judge.looks import Limits, failing, look
from modelyard.plan.judge.state import JudgeState
from tests.simulation.traffic import World, plus

SAMPLE = 60
COUNT = int(os.environ.get("MODELYARD_ROLLOUTS", SAMPLE))
LOOKS = 40
INTERVAL = 10
ALPHA = 0.01
SURE = 1e-4
"""How unlikely the sample of a good judge is to break a bound of this file."""

LIMITS = Limits(
    ErrorLimits(max=0.5, margin=0.0, alpha=ALPHA), LatencyLimits(max_slowdown=1.0, alpha=ALPHA)
)
NULLS = {
    "independent": World(),
    "half of the traffic": World(stable=500, canary=500),
    "bursts of failures": World(correlation=0.05, jitter=0.1),
    "long bursts": World(correlation=0.2, jitter=0.3),
    "rare bursts": World(stable_errors=0.003, canary_errors=0.003, correlation=0.2, jitter=0.2),
    "a quarter, in bursts": World(stable=450, canary=150, correlation=0.1, jitter=0.2),
    "day and night": World(swing=0.8, correlation=0.1, jitter=0.1),
    "heavy tails": World(tail=True, jitter=0.1),
}


@dataclass(frozen=True)
class Worse:
    """A canary that is worse, and the share of rollouts that must notice in time."""

    world: World
    limits: Limits
    samples: int
    power: float


RARE = World(stable_errors=0.001, canary_errors=0.01)
WORSE = {
    "ten times the errors": Worse(RARE, LIMITS, 1500, 0.85),
    "ten times the errors, with a margin": Worse(
        RARE, Limits(ErrorLimits(max=0.5, margin=0.002, alpha=ALPHA)), 4000, 0.95
    ),
    "ten percent slower": Worse(
        World(stable=475, canary=25, slowdown=1.1, stable_errors=0, canary_errors=0),
        LIMITS,
        1000,
        0.95,
    ),
    "thirty percent slower, fifteen allowed": Worse(
        World(slowdown=1.3), Limits(latency=LatencyLimits(1.15, ALPHA)), 1000, 0.95
    ),
}


def failed_after(seed: int, world: World, limits: Limits, looks: int = LOOKS) -> int | None:
    """Judge one rollout at every interval; return the canary's requests until it failed."""
    state = JudgeState()
    for number, (stable, canary) in enumerate(world.reads(seed, looks)):
        state = look(state, stable, canary, INTERVAL if number else 0, limits)
        if failing(state, limits):
            return canary.requests
    return None


def judged(world: World, limits: Limits, looks: int = LOOKS) -> list[int | None]:
    with ProcessPoolExecutor(2) as pool:
        judge = partial(failed_after, world=world, limits=limits, looks=looks)
        return list(pool.map(judge, range(COUNT), chunksize=max(1, COUNT // 8)))


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NULLS)
def test_a_good_canary_is_failed_no_more_often_than_alpha_allows(name):
    alarms = sum(found is not None for found in judged(NULLS[name], LIMITS))
    print(f"\n{name}: {alarms} false alarms in {COUNT} rollouts of {LOOKS} looks")
    allowed = 2 * ALPHA  # two checks
    assert stats.binom.sf(alarms - 1, COUNT, allowed) > SURE


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", WORSE)
def test_a_worse_canary_is_noticed(name):
    case = WORSE[name]
    looks = -(-case.samples // case.world.canary) + 2
    noticed = judged(case.world, case.limits, looks)
    in_time = sorted(found for found in noticed if found is not None and found <= case.samples)
    typical = in_time[len(in_time) // 2] if in_time else None
    share = len(in_time) / COUNT
    print(f"\n{name}: {share:.1%} within {case.samples} requests, half of them within {typical}")
    assert stats.binom.cdf(len(in_time), COUNT, case.power) > SURE


def test_a_single_burst_never_fails_a_canary():
    """Fifty requests that fail together are one event, however unlikely each one is."""
    limits = Limits(ErrorLimits(max=0.5, margin=0.0, alpha=ALPHA))
    state, stable, canary = JudgeState(), Counters("s"), Counters("c")
    state = look(state, stable, canary, 0, limits)
    for number in range(LOOKS):
        stable = plus(stable, Counters("s", 950, 1 if number % 2 else 0))
        canary = plus(canary, Counters("c", 50, 50 if number == 20 else 0))
        state = look(state, stable, canary, 10, limits)
        assert not failing(state, limits)


def test_a_judge_that_starts_anew_at_every_look_says_the_same():
    world = World(canary_errors=0.05, slowdown=1.2)
    once = again = JudgeState()
    for stable, canary in world.reads(7, LOOKS):
        once = look(JudgeState.load(once.dump()), stable, canary, 10, LIMITS)
        again = JudgeState.load(look(again, stable, canary, 10, LIMITS).dump())
        assert failing(JudgeState.load(once.dump()), LIMITS) == failing(again, LIMITS)
        assert len(again.dump()) < 2048
