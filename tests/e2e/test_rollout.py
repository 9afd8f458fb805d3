"""A release, a changed server, a lost pod: no request is lost, and the old version goes."""

import json

import pytest

from demo import steps
from demo.clients import Load, failures_of
from tests.e2e.yard import deployment, training

SPACE = "rollout"
MOST_SECONDS = 500
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def versions(yard):
    """Two versions of one model, v1 and v2."""
    names = ["roll-one", "roll-two"]
    yard.apply(*(training(name, lambda spec: spec.update(modelName="roll")) for name in names))
    return sorted(yard.completed(name)["status"]["modelVersionName"] for name in names)


def _serves(yard, version, seconds=180):
    """Wait until a version is served by all pods, alone; return the time its Service moved."""

    def reached(found):
        status = found.get("status", {})
        stable = status.get("stable", {})
        named = stable.get("modelVersionName") == version and not status.get("canary")
        return named and steps.holds(found, "Ready") and status["phase"] == "Healthy"

    return yard.until("mdep", "roll", reached, seconds)


def _release(yard, change):
    """Change the spec; check that the Service moves only to pods that are proved."""
    before = yard.found("service", "roll")["spec"]["selector"]["modelyard.dev/version"]
    yard.edit("roll", **change)

    def moved(service):
        return service["spec"]["selector"]["modelyard.dev/version"] != before

    service = yard.until("service", "roll", moved, 180)
    revision = service["spec"]["selector"]["modelyard.dev/version"]
    workload = yard.found("deploy", f"roll-{revision}")
    assert workload["status"]["readyReplicas"] == workload["spec"]["replicas"]
    yard.kubectl("wait", "--for=delete", f"deploy/roll-{before}", "--timeout=60s")
    gone = f"modelyard.dev/version={before},modelyard.dev/deployment=roll"
    yard.kubectl("wait", "--for=delete", "pod", "-l", gone, "--timeout=120s")
    assert yard.get("service", f"roll-{before}") is None


def _lose_one_of_two(yard):
    """Delete a pod: the other one answers, however long the next takes to load the model."""
    yard.edit("roll", replicas=2)
    yard.until("mdep", "roll", lambda found: found["status"]["ready"] == "2/2", 180)
    lost, _ = yard.listed("pods", "modelyard.dev/deployment=roll")
    yard.kubectl("delete", "pod", lost["metadata"]["name"], "--timeout=120s")
    yard.until("mdep", "roll", lambda found: found["status"]["ready"] == "2/2", 180)


def test_releases_a_changed_server_and_a_lost_pod_cost_no_request(yard, versions):
    one, two = versions
    rollout = {"warmStableSeconds": 0}
    yard.apply(deployment("roll", one, lambda spec: spec.update(rollout=rollout)))
    _serves(yard, one)
    load = Load(yard.cluster, yard.space, ("roll", "roll"), MOST_SECONDS)
    for version in (two, one):
        _release(yard, {"modelVersionName": version})
        _serves(yard, version)
    _release(yard, {"server": {"resources": {"requests": {"cpu": "150m"}}}})
    _serves(yard, one)
    _lose_one_of_two(yard)
    report = load.stop()
    print(json.dumps(report, indent=1))
    assert failures_of(report) == []
    assert all(client["requests"] > 500 for client in report.values())
    assert set(report["grpc"]["versions"]) == {"1", "2"}


def test_a_version_whose_image_is_missing_never_gets_traffic(yard, versions):
    one, two = versions
    selector = yard.found("service", "roll")["spec"]["selector"]
    missing = {"image": "localhost/modelyard/none:dev", "loadDeadlineSeconds": 15}
    yard.edit("roll", modelVersionName=two, server=missing)
    blocked = yard.wait("mdep", "roll", "Progressing", reason="LoadDeadlineExceeded", seconds=60)
    message = steps.condition(blocked, "Progressing")["message"]
    assert "localhost/modelyard/none:dev" in message
    assert "Check the image's name" in message
    assert yard.found("service", "roll")["spec"]["selector"] == selector
    assert steps.condition(blocked, "Ready")["status"] == "True"
    yard.edit("roll", modelVersionName=one, server={"image": None})
    yard.until("mdep", "roll", lambda found: "blockedVersion" not in found["status"], 30)


def test_a_service_of_the_user_is_not_taken(yard, versions):
    ours = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken"},
        "spec": {"selector": {"app": "mine"}, "ports": [{"port": 80}]},
    }
    yard.apply(ours)
    yard.apply(deployment("taken", versions[0]))
    refused = yard.wait("mdep", "taken", "Accepted", reason="NameConflict", seconds=90)
    message = steps.condition(refused, "Accepted")["message"]
    assert "taken" in message
    assert yard.found("service", "taken")["spec"]["selector"] == {"app": "mine"}
    yard.kubectl("delete", "service", "taken")
    yard.wait("mdep", "taken", "Ready", seconds=120)
    yard.kubectl("delete", "mdep", "taken", "--timeout=60s")
