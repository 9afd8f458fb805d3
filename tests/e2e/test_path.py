"""The product's whole path, as a user walks it."""

import pytest

from demo import steps

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def served(cluster):
    """The first example trained, and its version served."""
    steps.apply_example(cluster, "01-training.yaml")
    steps.wait_for(
        lambda: cluster.get("-n", "demo", "mtrain", "digits"),
        lambda t: steps.holds(t, "Complete") or steps.holds(t, "Failed"),
        seconds=300,
    )
    steps.apply_example(cluster, "02-deployment.yaml")
    return steps.wait_ready(cluster, "digits")


def test_a_training_becomes_a_version_with_its_measurements(cluster, served):
    training = cluster.get("-n", "demo", "mtrain", "digits")
    assert steps.holds(training, "Complete"), steps._conditions(training)
    version = cluster.get("-n", "demo", "mver", training["status"]["modelVersionName"])
    assert steps.holds(version, "Verified")
    accuracy = next(m for m in version["spec"]["metrics"] if m["name"] == "accuracy")
    assert float(accuracy["value"]) >= 0.90
    assert version["spec"]["lineage"]["image"]
    assert "ownerReferences" not in version["metadata"]


def test_progress_is_what_kubectl_get_shows(cluster, served):
    header, row = cluster.kubectl("-n", "demo", "get", "mtrain", "digits").splitlines()
    assert {"MODEL", "PHASE", "PROGRESS", "METRIC", "VERSION"} <= set(header.split())
    assert "Succeeded" in row
    assert "100" in row


def test_pods_serve_the_digest_that_was_committed(cluster, served):
    version = cluster.get("-n", "demo", "mver", served["spec"]["modelVersionName"])
    digest = version["spec"]["artifact"]["manifestDigest"]
    served = steps.wait_for(
        lambda: cluster.get("-n", "demo", "mdep", "digits"),
        lambda d: d["status"]["stable"].get("servedDigest") == digest,
        seconds=60,
    )
    assert served["status"]["stable"]["digest"] == digest


def test_rest_and_grpc_answer_through_the_service(cluster, served):
    answers = steps.predict(cluster, "digits", "digits")
    for protocol in ("rest", "grpc"):
        label, probability = answers[protocol]
        assert label == answers["label"]
        assert 0.5 < probability <= 1


def test_a_version_in_use_is_held_until_nothing_serves_it(cluster, served, wait):
    name = served["spec"]["modelVersionName"]
    cluster.kubectl("-n", "demo", "delete", "mver", name, "--wait=false")
    held = wait("mver", name, "InUse", reason="Served", seconds=60)
    assert held["metadata"]["deletionTimestamp"]
    assert "digits" in steps.condition(held, "InUse")["message"]
    assert steps.predict(cluster, "digits", "digits")["rest"]
    cluster.kubectl("-n", "demo", "delete", "mdep", "digits", "--wait")
    cluster.kubectl("-n", "demo", "wait", "--for=delete", f"mver/{name}", "--timeout=60s")
