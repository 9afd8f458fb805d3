"""Releases in steps under load: a good version is promoted, a slow one goes; no request fails."""

import json

import pytest

from demo import steps
from demo.clients import Load, failures_of
from tests.e2e.yard import deployment, training

SPACE = "canary"
MOST_SECONDS = 500
ROLLOUT = {
    "steps": [{"weight": 25, "holdSeconds": 5}, {"weight": 50, "holdSeconds": 15}],
    "analysis": {
        "intervalSeconds": 5,
        "checks": [
            {"name": "errors", "errorRate": {"minSamples": 100}},
            {"name": "latency", "latency": {"minSamples": 100, "maxSlowdown": "2"}},
        ],
    },
    "warmStableSeconds": 120,
    "progressDeadlineSeconds": 240,
}
HEAVY = {"architecture": {"name": "MLP", "denseUnits": [4096, 4096]}}
"""As good as the others, and several times as slow: only live traffic can tell."""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def versions(yard):
    """Three versions of one model: two alike, and one that is slow."""
    for name, recipe in (("canary-one", {}), ("canary-two", {}), ("canary-slow", HEAVY)):
        yard.apply(training(name, lambda spec, recipe=recipe: _of_bird(spec, recipe)))
    names = ("canary-one", "canary-two", "canary-slow")
    return [yard.completed(name)["status"]["modelVersionName"] for name in names]


def _of_bird(spec, recipe):
    spec["modelName"] = "bird"
    spec["recipe"].update(recipe)


def _serves(yard, version, seconds=300):
    return yard.until("mdep", "bird", lambda found: steps.serves(found, version), seconds)


def test_steps_promote_a_good_version_and_roll_back_a_slow_one(yard, versions):
    one, two, slow = versions
    yard.apply(deployment("bird", one, lambda spec: spec.update(rollout=ROLLOUT, replicas=1)))
    _serves(yard, one)
    load = Load(yard.cluster, yard.space, ("bird", "bird"), MOST_SECONDS)

    yard.edit("bird", modelVersionName=two)
    promoted = _serves(yard, two)["status"]
    assert {check["verdict"] for check in promoted["analysis"]} == {"Pass"}
    assert promoted["warm"]["version"]["modelVersionName"] == one
    assert promoted["history"][0]["action"] == "Promoted"

    yard.edit("bird", modelVersionName=one)  # still warm: no step, no new pod
    back = _serves(yard, one, seconds=60)["status"]
    assert back["history"][0]["durationSeconds"] <= 30

    yard.edit("bird", modelVersionName=slow)
    refused = yard.wait("mdep", "bird", "RolledBack", seconds=400)
    message = steps.condition(refused, "RolledBack")["message"]
    assert steps.condition(refused, "RolledBack")["reason"] == "ChecksFailed", message
    assert "latency" in message
    assert refused["status"]["stable"]["modelVersionName"] == one
    assert refused["status"]["blockedVersion"].startswith(slow)

    report = load.stop()
    print(json.dumps(report, indent=1))
    assert failures_of(report) == []


def test_a_pause_waits_for_an_order_and_an_abort_ends_a_rollout(yard, versions):
    one, two, _ = versions
    paused = {"steps": [{"weight": 50}, {"pause": {}}], "warmStableSeconds": 0}
    yard.apply(deployment("bird", one, lambda spec: spec.update(rollout=paused)))
    _serves(yard, one)
    yard.edit("bird", modelVersionName=two)
    waiting = yard.wait("mdep", "bird", "Paused", seconds=180)
    assert waiting["status"]["step"]["waitingFor"] == "Promote"
    yard.order("bird", "abort")
    aborted = yard.wait("mdep", "bird", "RolledBack", reason="Aborted", seconds=60)
    assert aborted["status"]["history"][0]["by"] == yard.myself
    assert aborted["status"]["stable"]["modelVersionName"] == one
    yard.order("bird", "retry")
    yard.wait("mdep", "bird", "Paused", seconds=180)
    yard.order("bird", "promote")
    _serves(yard, two, seconds=60)
