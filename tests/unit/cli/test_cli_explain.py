"""`why`: one fact, the one that blocks, with a remedy that can be typed."""

from datetime import UTC, datetime

import pytest

from modelyard_cli.explain import explain_deployment, explain_training, explain_version
from modelyard_cli.words import BAD, BUSY, GOOD, HELD
from tests.builders import conditions, make_deployment, make_training, make_version
from tests.unit.cli.test_cli_state import GATEWAY, SERVING, at, role

NOW = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
STEPS = {"steps": [{"weight": 50, "holdSeconds": 60}]}
SLOW = {
    "name": "latency",
    "verdict": "NeedMoreData",
    "samples": 212,
    "needed": 300,
    "etaSeconds": 40,
    "message": "1.02 times as slow",
}


def deployment(status=None, **spec):
    raw = {**SERVING, **(status or {})}
    return explain_deployment(make_deployment(raw, **spec), NOW)


@pytest.mark.parametrize(
    ("status", "mark", "headline", "remedy"),
    [
        ({}, GOOD, "nothing holds it back", ""),
        ({"observedGeneration": 0}, BUSY, "no operator has seen", "doctor"),
        (
            {"conditions": conditions(Accepted="False/VersionNotFound")},
            BAD,
            "the spec is refused: VersionNotFound",
            "list versions",
        ),
        (
            {"conditions": conditions(Accepted="False/VersionNotReady")},
            BAD,
            "VersionNotReady",
            "why version/digits-v3",
        ),
        ({"conditions": conditions(Accepted="False/StoreNotFound")}, BAD, "StoreN", "doctor"),
        ({"canary": role(), "message": "no image"}, BUSY, "still loading", "--version canary"),
        ({"canary": role(), "step": at(waitingFor="Promote")}, HELD, "a pause", "promote digits"),
        ({"canary": role(), "step": at(waitingFor="Resume")}, HELD, "paused it", "resume digits"),
        ({"canary": role(), "step": at(waitingFor="Traffic")}, BUSY, "not in force", "get depl"),
        ({"canary": role(), "step": at()}, BUSY, "about to look", ""),
        ({"canary": role(), "step": at(waitingFor="Checks")}, BUSY, "no traffic to judge", "send"),
        ({"stable": None}, BUSY, "nothing serves yet", "doctor"),
        ({"readyReplicas": 0, "ready": "0/1"}, BAD, "0/1 pods", "logs deployment/digits"),
    ],
)
def test_a_deployment(status, mark, headline, remedy):
    fact = deployment(status)
    assert fact.mark == mark
    assert headline in fact.headline
    assert any(remedy in text for text in fact.remedies) or not remedy


def test_a_hold_tells_what_is_left():
    status = {"canary": role(), "step": at(waitingFor="Hold", heldSince="2026-01-31T12:00:10Z")}
    assert deployment(status, rollout=STEPS).details == ("40s of 60 s left",)
    status["step"].pop("heldSince")
    assert deployment(status, rollout=STEPS).details == ("for 60 s once it is in force",)


def test_a_check_tells_its_numbers():
    status = {"canary": role(), "step": at(waitingFor="Checks"), "analysis": [SLOW]}
    fact = deployment(status)
    assert "check latency needs more data" in fact.headline
    (detail,) = fact.details
    assert detail == "latency: 212 of 300 requests, about 40s to go. 1.02 times as slow"


def test_a_rollback_tells_the_evidence_and_offers_the_ways_out():
    failed = {**SLOW, "verdict": "Fail", "message": "14 of 412 failed"}
    judged = conditions(RolledBack="True/ChecksFailed")
    status = {"blockedVersion": "digits-v3/a1", "conditions": judged, "analysis": [failed]}
    fact = deployment({**status, "stable": role("digits-v2")})
    assert fact.headline == "digits-v3 was rolled back: ChecksFailed"
    assert "14 of 412 failed" in fact.details
    assert [text.split()[2:4] for text in fact.remedies] == [
        ["compare", "digits-v2"],
        ["rollout", "retry"],
        ["rollout", "undo"],
    ]


TRAFFIC = {
    "since": "2026-01-31T12:00:00Z",
    "samples": 120,
    "needed": 500,
    "message": "24 % where 25 % are meant",
}


@pytest.mark.parametrize(
    ("waits", "programmed", "headline"),
    [
        ("Gateway", {}, "its traffic is not in force yet"),
        ("Requests", {"programmedSince": "2026-01-31T12:00:10Z"}, "the split of the requests"),
        ("Split", {"programmedSince": "2026-01-31T12:00:10Z"}, "the split of the requests"),
    ],
)
def test_a_gateway_and_its_split_are_waited_for(waits, programmed, headline):
    status = {"canary": role(), "step": at(waitingFor=waits), "traffic": {**TRAFFIC, **programmed}}
    fact = deployment(status)
    assert headline in fact.headline
    assert "120 of 500 requests counted. 24 % where 25 % are meant" in fact.details


def test_a_gateway_that_refuses_the_routes_holds_a_deployment_back():
    judged = conditions(Ready="True/Available", TrafficProgrammed="False/RouteRefused")
    fact = deployment({"conditions": judged}, traffic=GATEWAY)
    assert (fact.mark, fact.headline[-12:]) == (BAD, "RouteRefused")


def test_a_gate_that_refuses_tells_what_it_compared():
    gates = [
        {"name": "auc", "verdict": "Failed", "message": "accuracy is 0.9, digits-v2 has 0.95"},
        {"name": "io", "verdict": "Passed", "message": "it answers"},
    ]
    judged = conditions(GatesPassed="False/GatesFailed")
    fact = deployment({"gates": gates, "conditions": judged, "stable": role("digits-v2")})
    assert (fact.mark, fact.headline) == (BAD, "digits-v3 is refused by gate auc")
    assert fact.details == ("auc: accuracy is 0.9, digits-v2 has 0.95",)
    assert fact.remedies[0] == "kubectl modelyard compare digits-v2 digits-v3"


def test_what_never_loaded_was_not_rolled_back():
    judged = conditions(Progressing="False/LoadFailed")
    fact = deployment({"blockedVersion": "digits-v3/a1", "conditions": judged})
    assert fact.headline == "digits-v3 was not brought up: LoadFailed"


GATE = {
    "name": "floor",
    "metric": "accuracy",
    "operator": "GreaterThanOrEqual",
    "observed": "0.5",
    "required": "0.9",
    "verdict": "Failed",
}
CRASH = {
    "category": "OutOfMemory",
    "attempt": 1,
    "message": "exit code 137",
    "hint": "Raise the limit.",
    "logTail": "killed",
}


@pytest.mark.parametrize(
    ("status", "mark", "headline", "detail"),
    [
        ({"conditions": conditions(Complete="True/Succeeded")}, GOOD, "complete", ""),
        (
            {
                "conditions": conditions(Failed="True/GatesFailed"),
                "evaluation": {"verdict": "Failed", "gates": [GATE]},
            },
            BAD,
            "it failed: GatesFailed",
            "gate floor: accuracy is 0.5, required >= 0.9",
        ),
        (
            {"conditions": conditions(Failed="True/RetriesExhausted"), "failure": CRASH},
            BAD,
            "RetriesExhausted",
            "the log ends with: killed",
        ),
        ({"conditions": conditions(Accepted="False/StoreNotFound")}, BAD, "refused: Store", ""),
        ({}, BUSY, "no operator has seen", ""),
        ({"observedGeneration": 1, "phase": "Running"}, GOOD, "Running", ""),
    ],
)
def test_a_training(status, mark, headline, detail):
    fact = explain_training(make_training(status))
    assert fact.mark == mark
    assert headline in fact.headline
    assert detail in fact.details or not detail


def test_a_version():
    assert explain_version(make_version()).mark == GOOD
    bad = make_version(status={"conditions": conditions(Verified="False/DigestMismatch")})
    assert explain_version(bad).headline == "it cannot be served: DigestMismatch"
    going = make_version(meta={"deletionTimestamp": "x"}, status={"usedBy": ["web"]})
    assert explain_version(going).headline == "its deletion waits for web"
