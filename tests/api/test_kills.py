"""SIGKILL before and after every write: nothing is lost, nothing is doubled.

`MODELYARD_KILLS=all` (as `make prove` sets it) goes through every write of the whole story; without
it every write up to the Job is tried, and a sample of the others.
"""

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product

import pytest

from tests.api.faults import Kill
from tests.api.journey import Golden, Journey
from tests.api.operators import condition, training, until
from tests.api.stage import Stage, Workshop

pytest_plugins = ["tests.plugins.seaweed"]
pytestmark = [pytest.mark.api, pytest.mark.timeout(3600)]

AT_ONCE = 4
SAMPLE = 10
SEED = 7


@dataclass(frozen=True)
class Point:
    """Where the operator is killed."""

    at: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} write {self.at}"


def points(writes: int) -> list[Point]:
    return [Point(at, after) for at, after in product(range(1, writes + 1), (False, True))]


def sample(found: list[Point]) -> list[Point]:
    if os.environ.get("MODELYARD_KILLS") == "all":
        return found
    return random.Random(SEED).sample(found, min(SAMPLE, len(found)))  # noqa: S311 - repeatable


def kill_at_all(found: list[Point], kill_at: Callable[[Point], str]) -> Iterator[str]:
    """Kill at every point, some at once; yield one line for each."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {pool.submit(kill_at, point): point for point in found}
        for number, future in enumerate(as_completed(futures), 1):
            yield f"{number}/{len(found)} {futures[future]}: {future.result()}"


def killed(stage: Stage, point: Point) -> Kill:
    """Let the operator of a stage be killed at a point, and start it."""
    fault = Kill(stage.operator.kill, point.at, point.after)
    stage.door.faults.append(fault)
    stage.operator.start()
    return fault


def show(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(f"\n  {line}", end="", flush=True)


def job_exists(stage: Stage) -> bool:
    """Whether the training has its Job, and its status says so; the operator is kept alive."""
    stage.operator.revive()
    found = stage.tier.recorder.get("ModelTraining", stage.namespace, "run") or {}
    started = condition(found, "Running")[0] == "False"
    return started and bool(stage.tier.recorder.of(stage.namespace, "Job"))


def until_job(stage: Stage) -> None:
    stage.tier.cluster.create(training("run", stage.namespace))
    until("the Job exists", lambda: job_exists(stage), stage.operator.log_tail)


@pytest.fixture(scope="module")
def writes_until_job(workshop: Workshop) -> int:
    with workshop.stage("until-job") as stage:
        stage.operator.start()
        until_job(stage)
        return len(stage.door.writes())


def test_killed_at_every_write_until_the_job(
    workshop: Workshop, writes_until_job: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def kill_at(point: Point) -> str:
        with workshop.stage("kill") as stage:
            fault = killed(stage, point)
            until_job(stage)
            recorder = stage.tier.recorder
            made = {key.kind: n for key, n in recorder.births[stage.namespace].items()}
            assert made == {"ModelTraining": 1, "Job": 1}, made
            status = recorder.of(stage.namespace, "ModelTraining")[0]["status"]
            assert (status["attempt"], status["retries"]) == (1, 0)
            assert status["interruptionCount"] == 0
            return str(fault.happened or "never reached")

    for line in kill_at_all(points(writes_until_job), kill_at):
        show(capsys, line)


def test_killed_at_writes_of_the_whole_story(
    workshop: Workshop, golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    def kill_at(point: Point) -> str:
        with workshop.stage("story") as stage:
            fault = killed(stage, point)
            story = Journey(stage, golden.story).tell()
            assert story == golden.story
            return str(fault.happened or "never reached")

    found = sample(points(len(golden.writes)))
    for line in kill_at_all(found, kill_at):
        show(capsys, line)
