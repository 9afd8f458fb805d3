"""What the API server's answers mean, how fast we ask, and what Events say."""

import json
from typing import Any

import pytest

from modelyard.api.errors import Broken, Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.kube.bucket import TokenBucket
from modelyard.kube.events import event_manifest
from modelyard.kube.failures import JSON_PATCH, AlreadyExists, Conflict, Missing, failure_of
from modelyard.plan.core import Event


def answer(status: int, reason: str = "", sent: str = "", **headers: str) -> Exception:
    body = json.dumps({"reason": reason, "message": "words of the server"}).encode()
    return failure_of("PATCH /x", status, headers, body, sent)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (401, "Unauthorized", Retry),
        (403, "Forbidden", Refused),
        (404, "NotFound", Missing),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Retry),
        (422, "Invalid", Refused),
        (429, "TooManyRequests", Retry),
        (500, "InternalError", Retry),
        (503, "ServiceUnavailable", Retry),
        (400, "BadRequest", Broken),
        (415, "UnsupportedMediaType", Broken),
    ],
)
def test_each_answer_has_one_meaning(status: int, reason: str, kind: type[Exception]) -> None:
    failure = answer(status, reason)
    assert type(failure) is kind
    assert "words of the server" in str(failure)


def test_a_failed_test_of_a_json_patch_is_a_conflict() -> None:
    assert isinstance(answer(422, "Invalid", sent=JSON_PATCH), Conflict)


def test_what_the_user_must_do_has_a_reason() -> None:
    refused = answer(403)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.FORBIDDEN


@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_how_long_to_wait(status: int) -> None:
    failure = answer(status, **{"Retry-After": "7"})
    assert isinstance(failure, Retry)
    assert failure.after == 7


def test_an_answer_that_is_no_status_is_quoted() -> None:
    assert "<html>" in str(failure_of("GET /x", 502, {}, b"<html>bad gateway"))


async def test_a_burst_passes_at_once_and_the_rest_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("modelyard.kube.bucket.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("modelyard.kube.bucket.asyncio.sleep", note)
    bucket = TokenBucket(rate=10, burst=5)
    for _ in range(8):
        await bucket.take()
    assert pauses == pytest.approx([0.1, 0.2, 0.3])


def owner(**status: Any) -> dict[str, Any]:
    meta = {"name": "run", "namespace": "team", "uid": "u", "resourceVersion": "5"}
    return {"apiVersion": "a/v1", "kind": "ModelTraining", "metadata": meta, "status": status}


def test_the_same_event_has_the_same_name() -> None:
    said = Event("Warning", "Failed", "words")
    assert event_manifest(owner(), said) == event_manifest(owner(), said)
    other = event_manifest(owner(), Event("Warning", "Failed", "other words"))
    assert other["metadata"]["name"] != event_manifest(owner(), said)["metadata"]["name"]


def test_an_event_is_of_the_time_of_the_last_transition() -> None:
    times = [{"lastTransitionTime": f"2026-01-0{day}T00:00:00Z"} for day in (1, 3, 2)]
    manifest = event_manifest(owner(conditions=times), Event("Normal", "Started", ""))
    assert manifest["lastTimestamp"] == "2026-01-03T00:00:00Z"
    assert "lastTimestamp" not in event_manifest(owner(), Event("Normal", "Started", ""))
