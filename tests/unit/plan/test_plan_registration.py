"""From a recorded result to a ModelVersion, a refusal, or another attempt."""

import pytest

from modelyard.plan.core import Create
from modelyard.plan.observed import ManifestFact
from modelyard.plan.training import plan_training
from tests.builders import (
    DIGEST,
    NOW,
    applied,
    conditions,
    ended_pod,
    found,
    later,
    make_training,
    training_observed,
)

RECORDED = {
    "attempt": 1,
    "jobName": "run-a1",
    "nodeName": "node-1",
    "version": 3,
    "manifestDigest": DIGEST,
    "phase": "Registering",
    "conditions": conditions(Accepted="True/SpecAccepted", Running="False/Finished"),
}
META = {"finalizers": ["modelyard.dev/run-data"]}


def step(fact, training=None, **observed):
    given = training or make_training(RECORDED, META)
    plan = plan_training(given, training_observed(manifest=fact, **observed), NOW)
    return applied(given, plan), plan


def judged(resource, kind):
    found = next(c for c in resource.status.conditions if c.type == kind)
    return f"{found.status}/{found.reason}"


def test_passed_gates_create_the_version_and_end_the_training():
    training, plan = step(found(), pods=(ended_pod(0),))
    (create,) = plan.actions
    assert isinstance(create, Create)
    assert create.identity == ("spec.source.training.uid", "spec.artifact.manifestDigest")
    assert create.manifest["metadata"]["name"] == training.status.model_version_name == "digits-v3"
    assert create.manifest["spec"]["lineage"]["image"] == "trainer@sha256:1"
    assert create.manifest["spec"]["lineage"]["nodeName"] == "node-1"
    assert [judged(training, k) for k in ("Evaluated", "Registered", "Complete", "Failed")] == [
        "True/GatesPassed",
        "True/ModelVersionCreated",
        "True/Succeeded",
        "False/Succeeded",
    ]
    assert training.status.phase == "Succeeded"
    assert training.status.primary_metric == "accuracy=0.97"
    assert plan_training(training, training_observed(), later(9)).empty


def test_without_the_pod_the_node_is_known_from_status():
    _, plan = step(found())
    assert plan.actions[0].manifest["spec"]["lineage"]["nodeName"] == "node-1"
    assert "image" not in plan.actions[0].manifest["spec"]["lineage"]


def test_a_refused_model_is_never_complete_and_gets_no_version():
    training, plan = step(found("0.9"))
    assert plan.actions == ()
    assert judged(training, "Evaluated") == "False/GatesFailed"
    assert judged(training, "Failed") == "True/GatesFailed"
    assert judged(training, "Complete") == "False/Rejected"
    assert judged(training, "Registered") == "False/Rejected"
    assert training.status.phase == "Rejected"
    assert training.status.primary_metric == "accuracy=0.9"
    assert training.status.model_version_name is None
    gate = training.status.evaluation.gates[0]
    assert (gate.observed, gate.required) == ("0.9", "0.95")
    assert "0.9" in next(c.message for c in training.status.conditions if c.type == "Failed")


def test_a_store_that_is_away_only_delays():
    fact = ManifestFact("Unreachable", message="timed out")
    training, plan = step(fact)
    assert judged(training, "Evaluated") == "Unknown/StoreUnreachable"
    assert plan.requeue_after
    assert (training.status.version, training.status.attempt) == (3, 1)
    _, again = step(fact, training)
    assert again.empty
    done, _ = step(found(), training)
    assert judged(done, "Complete") == "True/Succeeded"


@pytest.mark.parametrize(
    "fact",
    [
        *(ManifestFact(state) for state in ("Missing", "Tombstone", "Mismatch", "Incomplete")),
        found(source={"name": "other", "uid": "x", "attempt": 1}),
        found(namespace="other"),
        found(modelName="other"),
        found(version=4),
    ],
)
def test_a_lost_or_foreign_manifest_is_a_failure_that_is_retried(fact):
    training, plan = step(fact)
    assert plan.actions == ()
    status = training.status
    assert (status.attempt, status.retries, status.failure.category) == (2, 1, "StoreError")
    assert (status.version, status.manifest_digest) == (None, None)


def test_a_lost_manifest_of_the_last_attempt_keeps_its_number_for_the_cleanup():
    training, _ = step(ManifestFact("Missing"), make_training(RECORDED, META, maxRetries=0))
    assert judged(training, "Failed") == "True/RetriesExhausted"
    assert training.status.version == 3
