"""Where an object stands: one verdict and one line, from conditions of the present generation."""

import pytest

from modelyard_cli.exits import Exit
from modelyard_cli.state import deployment_standing, training_standing, version_standing
from tests.builders import (
    conditions,
    make_deployment,
    make_training,
    make_version,
)


def role(name="digits-v3", **changes):
    given = {
        "modelVersionName": name,
        "modelName": "digits",
        "version": 3,
        "revision": "a1",
        "digest": "sha256:" + "a" * 64,
        "storeName": "default",
        "server": {},
        "since": "2026-01-31T12:00:00Z",
    }
    return {**given, **changes}


def at(index=0, **changes):
    given = {"index": index, "of": 2, "shown": "1/2", "weight": 50, "since": "2026-01-31T12:00:00Z"}
    return {**given, **changes}


SERVING = {
    "observedGeneration": 1,
    "stable": role(),
    "readyReplicas": 1,
    "ready": "1/1",
    "conditions": conditions(Ready="True/Available"),
}


def deployment(status=None, **spec):
    return deployment_standing(make_deployment({**SERVING, **(status or {})}, **spec))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ({}, Exit.REACHED, "digits-v3 serves, 1/1 pods ready"),
        ({"observedGeneration": 0}, None, "has not seen this spec"),
        ({"readyReplicas": 0, "ready": "0/1"}, None, "0/1 pods ready"),
        ({"conditions": conditions(Ready="False/Unavailable")}, None, "serves"),
        ({"conditions": conditions(Accepted="False/VersionNotFound")}, None, "VersionNotFound"),
        ({"stable": role("digits-v2")}, None, "digits-v3 is about to come up"),
        ({"canary": role(), "stable": None}, None, "digits-v3: loading"),
        ({"canary": role(), "message": "No image."}, None, "loading. No image."),
        ({"canary": role(), "step": at(waitingFor="Hold")}, None, "waits for hold"),
        ({"canary": role(), "step": at(waitingFor="Promote")}, Exit.NEEDS_PERSON, "to promote"),
        ({"canary": role(), "step": at(waitingFor="Resume")}, Exit.NEEDS_PERSON, "to resume"),
        ({"blockedVersion": "digits-v3/a1"}, Exit.FAILED, ""),
        ({"conditions": conditions(GatesPassed="False/GatesFailed")}, Exit.FAILED, "GatesFailed"),
    ],
)
def test_a_deployment(status, code, words):
    standing = deployment(status)
    assert standing.exit is code
    assert words in standing.line


GATEWAY = {"gateway": {"rest": {"parentRefs": [{"name": "web"}], "hostnames": ["a.example"]}}}


@pytest.mark.parametrize(
    ("judged", "code"),
    [
        ("True/Programmed", Exit.REACHED),
        ("False/RouteRefused", None),
        ("Unknown/Programming", None),
    ],
)
def test_a_deployment_behind_a_gateway_is_reached_once_that_has_taken_its_routes(judged, code):
    found = conditions(Ready="True/Available", TrafficProgrammed=judged)
    assert deployment({"conditions": found}, traffic=GATEWAY).exit is code
    assert deployment({"conditions": found}).exit is Exit.REACHED


def test_a_version_that_never_had_traffic_failed_to_load():
    judged = conditions(Progressing="False/LoadFailed", RolledBack="False/NotRolledBack")
    standing = deployment({"blockedVersion": "digits-v3/a1", "conditions": judged})
    assert (standing.exit, standing.line) == (Exit.FAILED, "LoadFailed: ")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ({"conditions": conditions(Complete="True/Succeeded")}, Exit.REACHED, ""),
        ({"conditions": conditions(Failed="True/GatesFailed")}, Exit.FAILED, "GatesFailed"),
        ({"conditions": conditions(Accepted="False/StoreNotFound")}, None, "StoreNotFound"),
        ({"phase": "Running", "attempt": 2}, None, "Running, attempt 2"),
        ({}, None, "Pending"),
    ],
)
def test_a_training(status, code, words):
    standing = training_standing(make_training(status))
    assert standing.exit is code
    assert words in standing.line


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"phase": "Ready", "conditions": []}, Exit.REACHED),
        ({"phase": "Verifying", "conditions": []}, None),
        ({"phase": "Failed", "conditions": conditions(Verified="False/Mismatch")}, Exit.FAILED),
    ],
)
def test_a_version(status, code):
    assert version_standing(make_version(status=status)).exit is code
