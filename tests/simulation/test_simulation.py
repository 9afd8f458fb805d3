"""T0: the planners in a world of mishaps. A sample here; `make prove` runs 20,000 schedules."""

import hashlib
import os
import random
import subprocess
import sys
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.branches import Branches
from tests.simulation.hunt import FoundError, run_all, run_seed
from tests.simulation.schedule import Schedule

SAMPLE = 1000
LEAST_SHARE = 0.95
"""Of the branches of all planners; what is rarer than this sample shows is what misses."""
COUNT = int(os.environ.get("MODELYARD_SCHEDULES", SAMPLE))


@pytest.fixture(scope="module")
def tally():
    found = run_all(0, COUNT)
    print(f"\n{found}")
    return found


@pytest.mark.timeout(7200)
def test_schedules_keep_every_invariant_and_converge(tally):
    assert median(tally.steps) >= 40
    assert median(tally.faults) >= 2
    assert len(tally.mix) >= 15


def test_schedules_take_the_branches_of_the_planners(tally):
    branches = Branches()
    branches.add(tally.taken)
    print(f"\nbranches of the planners taken: {branches.share():.1%}; never:")
    print("\n".join(f"  {way}" for way in branches.missing()))
    assert branches.share() >= LEAST_SHARE


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_a_schedule_that_hypothesis_draws_can_be_shrunk(randomness):
    Schedule(randomness).run()


def fingerprint(seed: int) -> str:
    schedule = Schedule(random.Random(seed))  # noqa: S311 - repeatable, not secret
    schedule.run()
    return hashlib.sha256(repr((schedule.trace, schedule.api.logs)).encode()).hexdigest()


def test_a_seed_replays_exactly_in_another_process():
    code = "from tests.simulation.test_simulation import fingerprint; print(fingerprint(11))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "4242"}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == fingerprint(11)


def test_a_failure_says_how_to_see_it_again(monkeypatch):
    monkeypatch.setattr(Schedule, "verify", lambda self: 1 / 0)
    with pytest.raises(FoundError, match=r"(?s)seed 3.*ZeroDivisionError.*hunt 3 4"):
        run_seed(3)
