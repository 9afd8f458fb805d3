import pytest

from modelyard.api import names
from modelyard.plan.views import guards, job_view, pod_view, service_view, workload_view
from tests.builders import DIGEST, make_version

LABELS = {names.LABEL_ATTEMPT: "2", names.LABEL_VERSION: "abc"}
META = {"name": "x", "uid": "u", "labels": LABELS}


@pytest.mark.parametrize("view", [job_view, pod_view, workload_view, service_view])
@pytest.mark.parametrize("raw", [{"metadata": {}}, {"metadata": {}, "spec": {}, "status": {}}])
def test_missing_fields_read_as_nothing(view, raw):
    assert view(raw).name == ""
    assert view(raw).deleting is False


@pytest.mark.parametrize(
    ("conditions", "complete", "failed"),
    [
        ([], False, False),
        ([{"type": "Complete", "status": "True"}], True, False),
        ([{"type": "Complete", "status": "False"}], False, False),
        ([{"type": "FailureTarget", "status": "True"}], False, False),
        ([{"type": "Failed", "status": "True", "reason": "R", "message": "m"}], False, True),
    ],
)
def test_a_job_ends_by_its_own_condition(conditions, complete, failed):
    view = job_view({"metadata": META, "status": {"conditions": conditions, "active": 1}})
    assert (view.complete, view.failed, view.attempt, view.active) == (complete, failed, 2, 1)
    assert view.failure_reason == ("R" if failed else "")


def test_an_attempt_label_that_is_no_number_reads_as_zero():
    assert job_view({"metadata": {"labels": {names.LABEL_ATTEMPT: "two"}}}).attempt == 0


def test_a_pod_tells_why_it_waits_and_how_it_ended():
    raw = {
        "metadata": {**META, "deletionTimestamp": "2026-01-31T12:00:00Z"},
        "spec": {"nodeName": "n"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [
                {"type": "Ready", "status": "True"},
                {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
                {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"},
            ],
            "initContainerStatuses": [
                {"name": "fetch", "state": {"terminated": {"exitCode": 0}}},
            ],
            "containerStatuses": [
                {
                    "name": "server",
                    "restartCount": 3,
                    "imageID": "i",
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"exitCode": 9, "reason": "E", "message": "boom"}},
                }
            ],
        },
    }
    pod = pod_view(raw)
    assert (pod.deleting, pod.ready, pod.node_name, pod.pod_ip) == (True, True, "n", "10.0.0.1")
    assert (pod.revision, pod.attempt) == ("abc", 2)
    assert (pod.disrupted, pod.unschedulable) == ("PreemptionByScheduler", "0/1 nodes")
    fetch, server = pod.containers
    assert fetch.exit_code == 0
    assert (server.waiting_reason, server.waiting_message) == ("CrashLoopBackOff", "back-off")
    assert (server.exit_code, server.termination_message, server.restarts) == (9, "boom", 3)
    assert server.running is False


def test_a_deployment_without_replicas_means_one():
    assert workload_view({"metadata": META, "spec": {}}).replicas == 1
    assert workload_view({"metadata": META, "spec": {"replicas": 0}}).replicas == 0


def test_the_revision_of_a_service_is_what_it_selects_not_what_it_is_labelled():
    raw = {"metadata": META, "spec": {"selector": {names.LABEL_VERSION: "def"}}}
    assert service_view(raw).revision == "def"


@pytest.mark.parametrize(
    ("uid", "digest", "guarded"),
    [("t-uid", "other", True), ("other", DIGEST, True), ("other", "other", False)],
)
def test_a_version_guards_what_its_training_published_whatever_became_of_the_manifest(
    uid, digest, guarded
):
    raw = make_version().model_dump(mode="json", by_alias=True)
    assert guards(raw, uid, digest) is guarded
    assert not guards({}, uid, digest)
