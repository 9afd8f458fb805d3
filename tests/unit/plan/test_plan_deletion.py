"""Deleting a training: stop, remove, let go, in this order."""

import pytest

from modelyard.api import names
from modelyard.api.reasons import Reason
from modelyard.plan.core import Delete, Plan, Refusal, RemoveArtifact, RemoveRun
from modelyard.plan.training import plan_training, training_needs
from tests.builders import (
    DIGEST,
    NOW,
    OTHER_DIGEST,
    applied,
    conditions,
    ended_pod,
    later,
    make_job,
    make_training,
    make_version,
    result_text,
    running_pod,
    text,
    training_observed,
)

META = {"deletionTimestamp": text(NOW), "finalizers": [names.FINALIZER_RUN_DATA]}
RUN = RemoveRun("default", "team", "digits", "t-uid")
ARTIFACT = RemoveArtifact("default", "team", "digits", 3, DIGEST)
PUBLISHED = {"attempt": 1, "version": 3, "manifestDigest": DIGEST}


def plan(status=None, now=NOW, meta=None, **observed):
    training = make_training(status or {"attempt": 1}, meta or META)
    return plan_training(training, training_observed(**observed), now)


def test_the_job_goes_first_by_its_uid():
    planned = plan(jobs=(make_job(),), pods=(running_pod(),))
    assert planned == Plan(actions=(Delete("batch/v1", "Job", "team", make_job().name, "job-1"),))
    assert plan(jobs=(make_job(deleting=True),)) == Plan()


def test_a_result_that_nobody_recorded_is_recorded_before_its_pod_goes():
    pods = (ended_pod(0, message=result_text()),)
    recorded = plan(jobs=(make_job(complete=True),), pods=pods)
    assert recorded.actions == ()
    assert (recorded.status["version"], recorded.status["manifestDigest"]) == (3, DIGEST)
    training = applied(make_training({"attempt": 1}, META), recorded)
    again = plan_training(training, training_observed(jobs=(make_job(),), pods=pods), NOW)
    assert isinstance(again.actions[0], Delete)


def test_files_are_kept_while_a_pod_can_still_write():
    waiting = plan(pods=(running_pod(),))
    assert waiting.actions == ()
    assert waiting.remove_finalizer is None
    assert "node-1" in waiting.status["conditions"][0]["message"]
    assert plan(pods=(ended_pod(0),)).actions == (RUN,)


def test_checkpoints_go_then_the_finalizer():
    assert plan() == Plan(actions=(RUN,), remove_finalizer=names.FINALIZER_RUN_DATA)


def test_without_our_finalizer_there_is_nothing_to_do():
    assert plan(meta={"deletionTimestamp": text(NOW)}) == Plan()


@pytest.mark.parametrize(
    ("extra", "version", "removed"),
    [
        ({}, None, True),
        ({}, make_version(), False),
        ({}, make_version(digest=OTHER_DIGEST), True),
        ({"conditions": conditions(Registered="False/Rejected")}, None, True),
        ({"conditions": conditions(Registered="True/ModelVersionCreated")}, None, False),
    ],
)
def test_an_artifact_goes_only_if_no_version_ever_took_it(extra, version, removed):
    planned = plan({**PUBLISHED, **extra}, version=version)
    assert planned.actions == ((RUN, ARTIFACT) if removed else (RUN,))
    needs = training_needs(make_training({**PUBLISHED, **extra}, META), (), ())
    registered = "True" in str(extra)
    assert needs.version_name == (None if registered else "digits-v3")


@pytest.mark.parametrize(
    "observed",
    [{"store": None}, {"refusal": Refusal(Reason.STORE_UNREACHABLE, "no answer")}],
)
def test_a_store_that_is_away_holds_the_object_for_ten_minutes(observed):
    planned = plan(now=later(599), **observed)
    assert planned.requeue_after
    assert planned.remove_finalizer is None
    training = applied(make_training({"attempt": 1}, META), planned)
    assert plan_training(training, training_observed(**observed), later(599)).empty
    released = plan(now=later(600), **observed)
    assert released.remove_finalizer == names.FINALIZER_RUN_DATA
    assert released.actions == ()
    assert "t-uid" in released.events[0].message
