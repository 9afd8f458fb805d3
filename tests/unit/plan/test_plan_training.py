"""Attempts of a training, from the first record to the end of its pods."""

import pytest

from modelyard.api import names
from modelyard.api.reasons import Reason
from modelyard.plan.core import Create, Delete, Plan, Refusal
from modelyard.plan.observed import RunFact, TrainingNeeds
from modelyard.plan.training import plan_training, training_needs
from tests.builders import (
    DIGEST,
    NOW,
    applied,
    committed,
    ended_pod,
    later,
    make_job,
    make_pod,
    make_trainer,
    make_training,
    report,
    result_text,
    running_pod,
    training_observed,
)


def condition(resource, kind):
    return next(c for c in resource.status.conditions if c.type == kind)


def judged(resource, kind):
    found = condition(resource, kind)
    return f"{found.status}/{found.reason}"


def step(training, now=NOW, **observed):
    """Plan, execute, and check that planning again finds nothing to do."""
    seen = training_observed(**observed)
    plan = plan_training(training, seen, now)
    after = applied(training, plan)
    before, left = training.status, after.status
    same = (before.attempt, before.version) == (left.attempt, left.version)
    if not plan.actions and same:
        assert plan_training(after, seen, now).empty
    return after, plan


def started(**spec):
    return step(make_training(**spec))[0]


def test_the_first_job_comes_with_the_finalizer_and_before_any_status():
    training, plan = step(make_training())
    assert plan.add_finalizer == names.FINALIZER_RUN_DATA
    (create,) = plan.actions  # whoever executes a plan writes its status after them
    assert isinstance(create, Create)
    assert create.manifest["metadata"]["name"] == names.job_name("run", "t-uid", 1)
    assert training.status.job_name == create.manifest["metadata"]["name"]
    assert (training.status.attempt, training.status.observed_generation) == (1, 1)
    assert judged(training, "Accepted") == "True/SpecAccepted"
    assert judged(training, "Running") == "False/Scheduling"
    unjudged = {"Accepted", "Running", "Progressing"}
    kinds = {c.type: c.status for c in training.status.conditions if c.type not in unjudged}
    assert len(kinds) == 5
    assert set(kinds.values()) == {"Unknown"}


def test_a_first_job_that_was_refused_leaves_an_attempt_that_says_why():
    refusal = Refusal(Reason.FORBIDDEN, "exceeded quota")
    training, plan = step(make_training(), refusal=refusal)
    assert plan.actions == ()
    assert training.status.attempt == 1
    assert judged(training, "Accepted") == "True/SpecAccepted"
    assert judged(training, "Running") == "Unknown/Forbidden"
    assert len(step(training)[1].actions) == 1


@pytest.mark.parametrize("pods", [(), (make_pod(),)])
def test_a_first_job_of_which_nothing_was_written_is_followed(pods):
    training, plan = step(make_training(), jobs=(make_job(),), pods=pods)
    assert plan.actions == ()
    assert training.status.attempt == 1
    assert training.status.job_name == make_job().name
    assert judged(training, "Running") == "False/Scheduling"


def test_a_first_job_is_created_only_if_the_api_server_knows_of_none():
    training = make_training()
    assert training_needs(training, (), ()).live
    assert not training_needs(training, (make_job(),), ()).live


@pytest.mark.parametrize(
    ("observed", "reason", "word"),
    [
        ({"store": None}, "StoreNotFound", "default"),
        ({}, "DataNotAllowed", "s3://secrets/x.npz"),
    ],
)
def test_what_may_not_run_gets_a_condition_and_no_job(observed, reason, word):
    data = make_training().model_dump(by_alias=True)["spec"]["data"]
    spec = {"data": [{**data[0], "uri": "s3://secrets/x.npz"}]} if "store" not in observed else {}
    training, plan = step(make_training(**spec), **observed)
    assert plan.actions == ()
    assert plan.add_finalizer is None
    assert judged(training, "Accepted") == f"False/{reason}"
    assert word in condition(training, "Accepted").message
    assert training.status.attempt == 0
    assert step(training, **observed)[1].empty


WAITING = [
    ({"unschedulable": "0/1 nodes: nvidia.com/gpu"}, {}, "Unschedulable", "nvidia.com/gpu"),
    ({}, {"waiting_reason": "ErrImagePull", "waiting_message": "404"}, "ImageNotFound", "404"),
    ({}, {"waiting_reason": "ImagePullBackOff"}, "ImageNotFound", "ImagePullBackOff"),
    ({}, {"waiting_reason": "InvalidImageName"}, "ImageNotFound", "image"),
    (
        {},
        {
            "waiting_reason": "CreateContainerConfigError",
            "waiting_message": 'secret "modelyard-store-default" not found',
        },
        "SecretNotFound",
        "AWS_SECRET_ACCESS_KEY",
    ),
    (
        {"node_name": "node-1"},
        {"waiting_reason": "CreateContainerConfigError"},
        "PullingImage",
        "node-1",
    ),
    ({"node_name": "node-1"}, {"waiting_reason": "ContainerCreating"}, "PullingImage", "node-1"),
    ({}, {}, "Scheduling", "waits for a node"),
]


@pytest.mark.parametrize(("pod", "trainer", "reason", "word"), WAITING)
def test_a_pod_that_waits_says_why(pod, trainer, reason, word):
    waiting = make_pod(1, make_trainer(**trainer), **pod)
    training, _ = step(started(), jobs=(make_job(),), pods=(waiting,))
    assert judged(training, "Running") == f"False/{reason}"
    assert word in condition(training, "Running").message


def test_a_running_trainer_is_shown_and_polled():
    pods, jobs = (running_pod(),), (make_job(active=1),)
    first, _ = step(started(), jobs=jobs, pods=pods)
    assert judged(first, "Running") == "False/FetchingData"
    training, plan = step(first, jobs=jobs, pods=pods, progress=report())
    assert judged(training, "Running") == "True/Training"
    assert training.status.node_name == "node-1"
    assert training.status.phase == "Running"
    assert training_needs(training, jobs, pods).progress_of == "run-1"
    assert "Training" in [event.reason for event in plan.events]


def test_a_trainer_that_ended_does_not_start_again_while_its_pod_is_wound_up():
    jobs = (make_job(active=1),)
    running, _ = step(started(), jobs=jobs, pods=(running_pod(),), progress=report())
    ended = ended_pod(0, message=result_text(), phase="Running")
    training, plan = step(running, jobs=jobs, pods=(ended,))
    assert training.status == running.status
    assert plan.events == ()


def test_nothing_is_polled_before_the_trainer_runs():
    pods, jobs = (make_pod(),), (make_job(),)
    assert training_needs(started(), jobs, pods).progress_of is None
    assert training_needs(started(), jobs, ()).progress_of is None


def failed_with(pod, training=None, **observed):
    given = training or started()
    job = make_job(given.status.attempt, failed=True)
    return step(given, jobs=(job,), pods=(pod,), **observed)


def test_a_permanent_failure_is_final_at_once_and_explained():
    training, plan = failed_with(ended_pod(65, message="KeyError"), log_tail="the end")
    assert judged(training, "Failed") == "True/DataError"
    assert judged(training, "Complete") == "False/DataError"
    failure = training.status.failure
    assert (failure.exit_code, failure.pod_name, failure.node_name) == (65, "run-1", "node-1")
    assert failure.log_tail == "the end"
    assert (training.status.retries, training.status.phase) == (0, "Failed")
    assert training.status.completion_time
    assert plan.events


def test_a_failure_is_retried_until_the_budget_is_used_up():
    training = started(maxRetries=2)
    for attempt in (1, 2):
        training, _ = failed_with(ended_pod(1, attempt), training)
        assert (training.status.attempt, training.status.retries) == (attempt + 1, attempt)
        assert judged(training, "Running") == "Unknown/Retrying"
        training, _ = step(training, later(1000 * attempt))
    training, _ = failed_with(ended_pod(1, 3), training)
    assert judged(training, "Failed") == "True/RetriesExhausted"
    assert (training.status.attempt, training.status.retries) == (3, 2)


def test_the_log_is_read_only_for_a_failure_of_the_program():
    jobs = (make_job(failed=True),)
    assert training_needs(started(), jobs, (ended_pod(1),)).log_of == "run-1"
    assert training_needs(started(), jobs, (ended_pod(75),)).log_of is None
    assert training_needs(started(), (make_job(),), (ended_pod(1),)).log_of is None


def test_what_a_training_published_counts_however_its_pod_ended():
    """A pod may be lost between the commit and its last word."""
    for jobs, pods in (
        ((make_job(failed=True),), (ended_pod(1),)),
        ((make_job(failed=True),), (ended_pod(143),)),
        ((), ()),
    ):
        assert training_needs(started(), jobs, pods).run
        training, plan = step(started(maxRetries=0), jobs=jobs, pods=pods, run=committed())
        assert plan.actions == ()
        status = training.status
        assert (status.attempt, status.version, status.manifest_digest) == (1, 3, DIGEST)
        assert judged(training, "Running") == "False/Finished"
    done = (ended_pod(0, message=result_text()),)
    assert not training_needs(started(), (make_job(complete=True),), done).run
    assert not training_needs(started(), (make_job(),), (running_pod(),)).run


@pytest.mark.parametrize("fact", [RunFact("Nothing"), RunFact("Unreachable")])
def test_an_attempt_that_published_nothing_or_nobody_knows_what_is_over(fact):
    training, _ = step(started(), run=fact)
    assert (training.status.attempt, training.status.interruption_count) == (2, 1)


def test_pauses_grow_with_failures_and_start_at_once():
    waits = []
    training = started(maxRetries=9)
    for attempt in range(1, 9):
        training, _ = failed_with(ended_pod(1, attempt), training)
        plan = plan_training(training, training_observed(), NOW)
        waits.append(plan.requeue_after)
        training, plan = step(training, later(301))
        assert isinstance(plan.actions[0], Create)
    assert waits == [None, 10, 20, 40, 80, 160, 300, 300]


def test_a_clock_that_went_back_does_not_hold_an_attempt():
    training = started()
    for attempt in (1, 2):
        training, _ = failed_with(ended_pod(1, attempt), training)
        training, plan = step(training, later(-86400) if attempt == 2 else NOW)
    assert isinstance(plan.actions[0], Create)


@pytest.mark.parametrize(
    ("pods", "jobs", "reason"),
    [
        ((ended_pod(75),), (make_job(failed=True),), "Exit75"),
        ((ended_pod(137, disrupted="Preempted"),), (make_job(failed=True),), "Preempted"),
        ((), (make_job(failed=True),), "PodLost"),
        ((), (make_job(complete=True),), "PodLost"),
        ((), (), "PodLost"),
        ((ended_pod(143),), (), "Exit143"),
    ],
)
def test_an_interruption_has_its_own_budget(pods, jobs, reason):
    training, _ = step(started(), jobs=jobs, pods=pods)
    status = training.status
    assert (status.attempt, status.retries, status.interruption_count) == (2, 0, 1)
    assert status.interruptions[0].reason == reason
    assert judged(training, "Running") == "Unknown/Interrupted"
    assert status.failure is None
    _, plan = step(training)
    assert isinstance(plan.actions[0], Create)


def test_interruptions_end_with_their_budget_and_pause_after_the_first():
    training = started(maxInterruptions=2)
    for attempt in (1, 2):
        training, _ = step(training, jobs=(make_job(attempt, failed=True),))
        _, plan = step(training)
        assert plan.requeue_after == (None if attempt == 1 else 10)
        training, _ = step(training, later(11))
    training, _ = step(training, jobs=(make_job(3, failed=True),))
    assert judged(training, "Failed") == "True/InterruptionsExhausted"
    assert (training.status.interruption_count, training.status.attempt) == (3, 3)


def test_nothing_is_concluded_while_a_pod_can_still_run():
    for jobs in ((make_job(failed=True),), (), (make_job(deleting=True),)):
        training, plan = step(started(), jobs=jobs, pods=(running_pod(deleting=True),))
        assert training.status.attempt == 1
        assert plan.actions == ()


def test_a_job_that_somebody_deletes_is_waited_for():
    training, _ = step(started(), jobs=(make_job(deleting=True),), pods=(running_pod(),))
    assert judged(training, "Running") == "False/Interrupted"
    assert "run-1" in condition(training, "Running").message


def test_the_next_attempt_waits_until_no_earlier_pod_can_run():
    training, _ = step(started(), jobs=(make_job(failed=True),))
    live = (running_pod(node_name="node-9"),)
    waiting, plan = step(training, jobs=(make_job(failed=True),), pods=live)
    assert plan.actions == ()
    assert "node-9" in condition(waiting, "Running").message
    _, plan = step(waiting, jobs=(make_job(failed=True),), pods=(ended_pod(143),))
    assert isinstance(plan.actions[0], Create)


def test_a_job_of_an_earlier_attempt_that_came_back_is_ended_first():
    training, _ = step(started(), jobs=(make_job(failed=True),))
    _, plan = step(training, jobs=(make_job(),))
    assert plan.actions == (Delete("batch/v1", "Job", "team", make_job().name, "job-1"),)
    _, plan = step(training, jobs=(make_job(deleting=True),))
    assert plan.actions == ()


def test_a_finished_pod_waits_for_its_jobs_verdict():
    training, plan = step(started(), jobs=(make_job(),), pods=(ended_pod(1),))
    assert training.status.attempt == 1
    assert plan.actions == ()


def test_the_result_is_recorded_before_anything_depends_on_it():
    pods, jobs = (ended_pod(0, message=result_text()),), (make_job(complete=True),)
    training, plan = step(started(), jobs=jobs, pods=pods)
    assert plan.actions == ()
    assert (training.status.version, training.status.manifest_digest) == (3, DIGEST)
    assert training.status.progress.percent == 100
    assert training.status.phase == "Registering"
    assert training_needs(training, (), ()).manifest


def test_a_pod_that_succeeded_counts_even_if_its_job_was_deleted():
    training, _ = step(started(), pods=(ended_pod(0, message=result_text()),))
    assert training.status.version == 3


def test_a_taken_name_is_final_and_anything_else_is_tried_again():
    conflict = Refusal(Reason.NAME_CONFLICT, "Job run-a1 belongs to another owner.")
    training, _ = step(make_training(), refusal=conflict)
    assert judged(training, "Failed") == "True/NameConflict"
    forbidden = Refusal(Reason.FORBIDDEN, "exceeded quota")
    training, plan = step(make_training(), refusal=forbidden)
    assert judged(training, "Running") == "Unknown/Forbidden"
    assert plan.requeue_after == 60
    _, plan = step(training)
    assert isinstance(plan.actions[0], Create)


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_the_end_is_final_whatever_happens_to_children(kind):
    training, _ = failed_with(ended_pod(64))
    conditions = [c.dump() for c in training.status.conditions]
    for entry in conditions:
        entry["status"] = "True" if entry["type"] == kind else "False"
    ended = training.model_copy(
        update={"status": make_training({"conditions": conditions, "attempt": 1}).status}
    )
    for observed in ({}, {"jobs": (make_job(),)}, {"pods": (running_pod(),)}, {"store": None}):
        assert plan_training(ended, training_observed(**observed), later(99)) == Plan()
    assert training_needs(ended, (), ()) == TrainingNeeds()
    bare = ended.model_copy(update={"metadata": make_training().metadata})
    assert plan_training(bare, training_observed(), NOW).add_finalizer


def test_a_finalizer_that_somebody_took_is_put_back():
    training = started()
    bare = training.model_copy(update={"metadata": make_training().metadata})
    plan = plan_training(bare, training_observed(jobs=(make_job(),)), NOW)
    assert plan.add_finalizer == names.FINALIZER_RUN_DATA
