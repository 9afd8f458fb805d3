"""Deleting a training: stop, remove, let go, in this order."""

import dataclasses

import pytest

from modelyard.api import names
from modelyard.api.reasons import Reason
from modelyard.plan.conditions import TYPES
from modelyard.plan.core import Delete, Plan, Refusal, RemoveRun
from modelyard.plan.observed import RunFact
from modelyard.plan.training import plan_training, training_needs
from tests.builders import (
    NOW,
    applied,
    committed,
    ended_pod,
    later,
    make_job,
    make_training,
    running_pod,
    text,
    training_observed,
)

META = {"deletionTimestamp": text(NOW), "finalizers": [names.FINALIZER_RUN_DATA]}
RUN = RemoveRun("default", "team", "digits", "t-uid")
NOTHING = RunFact("Nothing")


def plan(status=None, now=NOW, meta=None, **observed):
    training = make_training(status or {"attempt": 1}, meta or META)
    return plan_training(training, training_observed(**{"run": NOTHING, **observed}), now)


def test_the_job_goes_first_by_its_uid():
    planned = plan(jobs=(make_job(),), pods=(running_pod(),))
    assert planned == Plan(actions=(Delete("batch/v1", "Job", "team", make_job().name, "job-1"),))
    assert plan(jobs=(make_job(deleting=True),)) == Plan()


def test_files_are_kept_while_a_pod_can_still_write():
    waiting = plan(pods=(running_pod(),))
    assert waiting.actions == ()
    assert waiting.remove_finalizer is None
    messages = [c["message"] for c in waiting.status["conditions"]]
    assert any("node-1" in message for message in messages)
    assert len(messages) == len(TYPES["ModelTraining"])
    assert plan(pods=(ended_pod(0),)).actions == (RUN,)


def test_checkpoints_go_then_the_finalizer():
    assert plan() == Plan(actions=(RUN,), remove_finalizer=names.FINALIZER_RUN_DATA)


def test_without_our_finalizer_there_is_nothing_to_do():
    assert plan(meta={"deletionTimestamp": text(NOW)}) == Plan()


@pytest.mark.parametrize(
    ("run", "taken_over", "kept"),
    [(NOTHING, False, None), (committed(), False, None), (committed(), True, 3)],
)
def test_what_was_published_goes_unless_a_version_guards_it(run, taken_over, kept):
    (action,) = plan(run=run, taken_over=taken_over).actions
    assert action == dataclasses.replace(RUN, keep_version=kept)


def test_store_and_guard_are_asked_once_nothing_runs_any_more():
    training = make_training({"attempt": 1}, META)
    for jobs, pods in (((make_job(),), ()), ((), (running_pod(),))):
        needs = training_needs(training, jobs, pods)
        assert (needs.run, needs.guard, needs.live) == (False, False, False)
    needs = training_needs(training, (), (ended_pod(0),))
    assert (needs.run, needs.guard, needs.live) == (True, True, True)


AWAY = [
    {"store": None},
    {"run": RunFact("Unreachable", message="timed out")},
    {"refusal": Refusal(Reason.STORE_UNREACHABLE, "no answer")},
]


@pytest.mark.parametrize("observed", AWAY)
def test_a_store_that_is_away_holds_the_object_for_ten_minutes(observed):
    began = 3600  # seconds after the deletion: a pod took its time
    seen = training_observed(**{"run": NOTHING, **observed})
    planned = plan_training(make_training({"attempt": 1}, META), seen, later(began))
    assert planned.requeue_after
    assert planned.remove_finalizer is None
    training = applied(make_training({"attempt": 1}, META), planned)
    assert plan_training(training, seen, later(began + 599)).empty
    released = plan_training(training, seen, later(began + 600))
    assert released.remove_finalizer == names.FINALIZER_RUN_DATA
    assert released.actions == ()
    assert "t-uid" in released.events[0].message


def test_a_store_that_comes_back_in_time_is_cleaned():
    unreachable = training_observed(run=RunFact("Unreachable"))
    held = plan_training(make_training({"attempt": 1}, META), unreachable, NOW)
    training = applied(make_training({"attempt": 1}, META), held)
    assert plan_training(training, training_observed(run=NOTHING), later(900)).actions == (RUN,)
