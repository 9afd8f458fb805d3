"""Releases through a real gateway under load: weights as meant, as counted, and no request lost."""

import json
import time

import pytest

from demo import steps
from demo.clients import Load, failures_of
from tests.e2e import gateway
from tests.e2e.yard import deployment, training

SPACE = "gateway"
MOST_SECONDS = 560
SAMPLES = 2000
POINTS = 1.5
PAUSED = {
    "steps": [{"weight": 10}, {"pause": {}}, {"weight": 50}, {"pause": {}}, {"weight": 100}],
    "warmStableSeconds": 600,
    "progressDeadlineSeconds": 300,
}
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def versions(yard):
    """Two versions of one model, v1 and v2, and a gateway."""
    gateway.install(yard.cluster)
    names = ["gate-one", "gate-two"]
    yard.apply(*(training(name, lambda spec: spec.update(modelName="owl")) for name in names))
    return sorted(yard.completed(name)["status"]["modelVersionName"] for name in names)


def _serves(yard, version, seconds=300):
    def reached(found):
        status = found["status"]
        named = status.get("stable", {}).get("modelVersionName") == version
        return named and not status.get("canary") and steps.holds(found, "TrafficProgrammed")

    return yard.until("mdep", "owl", reached, seconds)["status"]


def _weights(yard, kind):
    return gateway.weights_of(yard.found(kind, "owl"))


def _paused_at(yard, weight):
    """Wait for the pause at a weight, and for enough requests; compare what the pods counted."""

    def reached(found):
        traffic, step = found["status"].get("traffic", {}), found["status"].get("step", {})
        assert not steps.holds(found, "RolledBack"), steps.condition(found, "RolledBack")
        at = (step.get("weight"), step.get("waitingFor")) == (weight, "Promote")
        return at and traffic.get("samples", 0) >= SAMPLES

    status = yard.until("mdep", "owl", reached, 240)["status"]
    stable, canary = status["traffic"]["shares"]
    print(f"{weight} %: {canary['observed']} % of {status['traffic']['samples']} requests")
    assert (stable["weight"], canary["weight"]) == (100 - weight, weight)
    assert abs(float(canary["observed"]) - weight) <= POINTS
    names = {"owl-" + stable["revision"]: 100 - weight, "owl-" + canary["revision"]: weight}
    assert [_weights(yard, kind) for kind in gateway.KINDS] == [names, names]
    return status


def _pods(yard, revision):
    selector = f"modelyard.dev/version={revision}"
    return {p["metadata"]["uid"]: _restarts(p) for p in yard.listed("pods", selector)}


def _restarts(pod):
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", ()))


def test_weights_of_routes_are_followed_and_no_request_fails(yard, versions):
    one, two = versions
    spec = {"rollout": PAUSED, "replicas": 2, "traffic": gateway.routes()}
    yard.apply(deployment("owl", one, lambda found: found.update(spec)))
    _serves(yard, one)
    load = Load(yard.cluster, yard.space, (gateway.HOST, "owl"), MOST_SECONDS)

    yard.edit("owl", modelVersionName=two)
    _paused_at(yard, 10)
    yard.order("owl", "promote")
    canary = _paused_at(yard, 50)["canary"]
    yard.order("owl", "promote")
    yard.until("mdep", "owl", lambda f: f["status"].get("step", {}).get("weight") == 100, 60)
    before = _pods(yard, canary["revision"])
    promoted = _serves(yard, two)
    assert promoted["stable"]["revision"] == canary["revision"]
    after = _pods(yard, canary["revision"])
    assert before.items() <= after.items()
    assert (
        yard.found("service", "owl")["spec"]["selector"]["modelyard.dev/version"]
        == (canary["revision"])
    )
    seconds = _abort(yard, one)
    print(f"from the order to 100 % on stable: {seconds:.2f} s")
    report = load.stop()
    print(json.dumps(report, indent=1))
    assert failures_of(report) == []
    assert sum(client["requests"] for client in report.values()) > 2 * SAMPLES


def _abort(yard, version):
    """Begin another rollout, roll it back at half of the traffic; return how long that took."""
    changed = {"drainSeconds": 12}
    yard.edit("owl", modelVersionName=version, server=changed)
    yard.until("mdep", "owl", lambda f: f["status"].get("step", {}).get("weight") == 10, 240)
    yard.order("owl", "promote")
    _order_when(yard, 1)
    yard.until("mdep", "owl", lambda found: gateway.divides(found, 50, 50), 240)
    stable = yard.found("mdep", "owl")["status"]["stable"]["revision"]
    started = time.monotonic()
    yard.order("owl", "abort")
    while not gateway.taken(yard, "owl", {f"owl-{stable}": 100}):
        assert time.monotonic() - started < 60, yard.found("mdep", "owl")["status"]
    seconds = time.monotonic() - started
    aborted = yard.wait("mdep", "owl", "RolledBack", reason="Aborted", seconds=30)
    assert aborted["status"]["stable"]["revision"] == stable
    return seconds


def _order_when(yard, index):
    """Promote out of a pause, once the rollout has come to it."""

    def reached(found):
        step = found["status"].get("step", {})
        return step.get("index", 0) > index or step.get("waitingFor") == "Promote"

    found = yard.until("mdep", "owl", reached, 120)
    if found["status"]["step"]["index"] <= index:
        yard.order("owl", "promote")


def test_a_gateway_that_does_not_exist_is_named_and_stable_stays(yard, versions):
    del versions
    before = _weights(yard, "httproute")
    status = yard.found("mdep", "owl")["status"]
    yard.edit("owl", traffic=gateway.routes(gateway="nowhere"))
    refused = yard.wait("mdep", "owl", "TrafficProgrammed", reason="GatewaySilent", seconds=90)
    message = steps.condition(refused, "TrafficProgrammed")["message"]
    assert "Gateway gateway-system/nowhere" in message
    assert refused["status"]["phase"] == "Degraded"
    assert refused["status"]["stable"]["revision"] == status["stable"]["revision"]
    assert _weights(yard, "httproute") == before
    yard.edit("owl", traffic=gateway.routes())
    yard.wait("mdep", "owl", "TrafficProgrammed", seconds=60)


def test_a_second_deployment_on_a_host_is_told_whose_it_is(yard, versions):
    spec = {"traffic": gateway.routes(), "replicas": 1}
    yard.apply(deployment("wren", versions[0], lambda found: found.update(spec)))
    told = yard.wait("mdep", "wren", "TrafficProgrammed", reason="HostnameConflict", seconds=180)
    assert "ModelDeployment gateway/owl" in steps.condition(told, "TrafficProgrammed")["message"]
    assert all(yard.get(kind, "wren") is None for kind in gateway.KINDS)
    yard.edit("wren", traffic=gateway.routes("wren.example.com"))
    yard.wait("mdep", "wren", "TrafficProgrammed", seconds=60)
    assert all(yard.get(kind, "wren") is not None for kind in gateway.KINDS)
