"""The product's whole path, as a user walks it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from demo import install, steps
from tests.e2e.yard import kill_in_pod

SPACE = install.TENANT
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(yard):
    """The first example trained, and its version served."""

    def apply(_=None):
        steps.apply_example(yard.cluster, "01-training.yaml")

    with ThreadPoolExecutor() as clients:  # two at once, and one later, are as good as one
        list(clients.map(apply, range(2)))
    apply()
    yard.completed("digits")
    steps.apply_example(yard.cluster, "02-deployment.yaml")
    return yard.wait("mdep", "digits", "Ready")


def test_a_training_becomes_a_version_with_its_measurements(yard, served):
    training = yard.found("mtrain", "digits")
    version = yard.wait("mver", training["status"]["modelVersionName"], "Verified", seconds=30)
    accuracy = next(m for m in version["spec"]["metrics"] if m["name"] == "accuracy")
    assert float(accuracy["value"]) >= 0.90
    assert version["spec"]["lineage"]["image"]
    assert "ownerReferences" not in version["metadata"]


def test_an_example_that_several_apply_trains_once(yard, served):
    (job,) = yard.listed("jobs", "modelyard.dev/training=digits")
    assert job["metadata"]["name"] == yard.found("mtrain", "digits")["status"]["jobName"]
    assert [v["metadata"]["name"] for v in yard.listed("mver")] == ["digits-v1"]


def test_progress_is_what_kubectl_get_shows(yard, served):
    header, row = yard.kubectl("get", "mtrain", "digits").splitlines()
    assert {"MODEL", "PHASE", "PROGRESS", "METRIC", "VERSION"} <= set(header.split())
    assert {"Succeeded", "100", "digits-v1"} <= set(row.split())


def test_pods_serve_the_digest_that_was_committed(yard, served):
    version = yard.found("mver", served["spec"]["modelVersionName"])
    stable = served["status"]["stable"]
    assert stable["servedDigest"] == version["spec"]["artifact"]["manifestDigest"]
    assert stable["digest"] == stable["servedDigest"]


def test_rest_and_grpc_answer_through_the_service(yard, served):
    answers = steps.predict(yard.cluster, "digits", "digits")
    for protocol in ("rest", "grpc"):
        label, probability = answers[protocol]
        assert label == answers["label"]
        assert 0.5 < probability <= 1


def test_deleted_children_come_back(yard, served):
    name = yard.pod_of("modelyard.dev/deployment=digits")["metadata"]["labels"]
    workload = f"digits-{name['modelyard.dev/version']}"
    old = {kind: yard.found(kind, workload)["metadata"]["uid"] for kind in ("deploy", "service")}
    yard.kubectl("delete", f"deploy/{workload}", f"service/{workload}", "service/digits")
    for kind, uid in old.items():
        yard.until(kind, workload, lambda found, uid=uid: found["metadata"]["uid"] != uid, 30)
    yard.until("service", "digits", lambda found: bool(found["spec"]["selector"]), 30)
    yard.until("deploy", workload, lambda d: d["status"].get("readyReplicas") == 1, 60)
    yard.wait("mdep", "digits", "Ready", seconds=30)
    assert steps.predict(yard.cluster, "digits", "digits")["rest"]


def test_a_server_that_is_killed_comes_back(yard, served):
    pod = yard.pod_of("modelyard.dev/deployment=digits")
    kill_in_pod(pod, "modelyard_serving")

    def back(found):
        (server,) = found["status"]["containerStatuses"]
        return server["restartCount"] == 1 and server["ready"]

    yard.until("pod", pod["metadata"]["name"], back, 60)
    yard.wait("mdep", "digits", "Ready", seconds=30)
    assert steps.predict(yard.cluster, "digits", "digits")["grpc"]


def test_a_deleted_training_leaves_its_served_version(yard, served):
    uid = yard.found("mtrain", "digits")["metadata"]["uid"]
    assert yard.stored(f"digits/_runs/{uid}/")
    yard.kubectl("delete", "mtrain", "digits", "--timeout=60s")
    # The fence stays: it keeps out an attempt that nobody knows to be gone.
    assert yard.stored(f"digits/_runs/{uid}/") == [f"{SPACE}/digits/_runs/{uid}/fence"]
    version = yard.found("mver", "digits-v1")
    kept = yard.stored("digits/1/")
    assert len(kept) == version["spec"]["artifact"]["files"]
    assert steps.holds(yard.found("mdep", "digits"), "Ready")
    assert steps.predict(yard.cluster, "digits", "digits")["rest"]


def test_a_version_in_use_is_held_until_nothing_serves_it(yard, served):
    yard.kubectl("delete", "mver", "digits-v1", "--wait=false")
    held = yard.until("mver", "digits-v1", lambda v: "deletionTimestamp" in v["metadata"], 30)
    held = yard.wait("mver", "digits-v1", "InUse", reason="Served", seconds=30)
    assert "digits" in steps.condition(held, "InUse")["message"]
    assert steps.predict(yard.cluster, "digits", "digits")["rest"]
    yard.kubectl("delete", "mdep", "digits", "--timeout=60s")
    yard.kubectl("wait", "--for=delete", "mver/digits-v1", "--timeout=60s")
    assert yard.stored("digits/1/") == []
