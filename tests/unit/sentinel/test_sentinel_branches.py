"""The sentinel before a scripted server: the branches that a healthy server never takes."""

import json
import time

import pytest

from modelyard.sentinel import drain as drains
from modelyard.sentinel import server as servers
from modelyard.sentinel.folders import Folders


async def test_readiness_waits_for_the_version_then_for_its_golden_predictions(
    sentinel, config, scripted
):
    scripted.state = "LOADING"
    probe = await sentinel(config, scripted.address)
    answer = await probe.until("/ready", lambda code, body: "LOADING" in body.get("reason", ""))
    assert answer["golden"] == "Pending"
    assert scripted.predictions == 0

    scripted.state = "AVAILABLE"
    await probe.until_ready()
    assert scripted.predictions == 2
    code, status = await probe.get("/status")
    assert code == 200
    proved = {"digest": config.manifest_digest, "golden": "Passed", "message": ""}
    assert status.items() >= proved.items()


async def test_a_wrong_answer_is_told_and_final(sentinel, config, scripted):
    scripted.offset = 0.5
    probe = await sentinel(config, scripted.address)
    status = await probe.until("/status", lambda _, body: body["golden"] == "Failed")
    wanted = "golden sample 1 of 2: output 'y'[0][0]: expected 3.0, got 3.5"
    assert status["message"] == wanted
    assert (await probe.get("/ready")) == (
        503,
        {"ready": False, "golden": "Failed", "reason": wanted},
    )


async def test_without_a_golden_set_loading_is_enough(sentinel, config, scripted):
    probe = await sentinel(config.model_copy(update={"golden_set": None}), scripted.address)
    await probe.until_ready()
    assert scripted.predictions == 0


async def test_a_restarted_server_has_to_pass_again(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    await scripted.stop()
    answer = await probe.until_ready(False)
    assert "nothing answers" in answer["reason"]
    scripted.offset = 1.0
    await scripted.start()
    await probe.until("/status", lambda _, body: body["golden"] == "Failed")


async def test_a_restart_between_two_looks_shows_in_the_counter(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    scripted.counts.clear()
    await probe.until("/status", lambda *_: scripted.predictions == 4)
    await probe.until_ready()


@pytest.mark.parametrize("code", [429, 503, 504])
async def test_a_busy_server_is_asked_again(sentinel, config, scripted, code):
    scripted.predict_code = code
    probe = await sentinel(config, scripted.address)
    await probe.until("/status", lambda _, body: f"put off with {code}" in body["message"])
    scripted.predict_code = 200
    await probe.until_ready()


@pytest.mark.parametrize("code", [400, 500])
async def test_a_refused_prediction_fails_with_the_servers_words(sentinel, config, scripted, code):
    scripted.predict_code = code
    probe = await sentinel(config, scripted.address)
    status = await probe.until("/status", lambda _, body: body["golden"] == "Failed")
    assert status["message"] == f"golden sample 1 of 2: the server answered {code}: scripted fault"


async def test_a_broken_status_is_asked_again(sentinel, config, scripted):
    scripted.status_code = 500
    probe = await sentinel(config, scripted.address)
    await probe.until("/ready", lambda _, body: "answered 500: scripted" in body["reason"])
    scripted.status_code = 200
    await probe.until_ready()


async def test_a_restarted_server_is_not_judged_before_it_has_loaded(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    scripted.state = "LOADING"
    scripted.counts.clear()
    await probe.until("/ready", lambda _, body: "LOADING" in body.get("reason", ""))
    assert scripted.predictions == 2


async def test_a_load_error_is_told(sentinel, config, scripted):
    scripted.state, scripted.load_error = "END", "no variables found"
    probe = await sentinel(config, scripted.address)
    await probe.until("/status", lambda _, body: "no variables found" in body["message"])


async def test_a_server_without_metrics_is_never_ready_and_says_why(sentinel, config, scripted):
    scripted.metrics_code = 404
    probe = await sentinel(config, scripted.address)
    await probe.until("/ready", lambda _, body: "--monitoring_config_file" in body["reason"])


async def test_a_ready_server_survives_one_bad_answer_but_not_many(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    scripted.metrics_code = 500
    await probe.until_ready(False)
    scripted.metrics_code = 200
    await probe.until_ready()
    assert scripted.predictions == 2, "the same server was judged twice"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("{", "is not a golden set"),
        (json.dumps({"samples": []}), "is not a golden set"),
        (
            json.dumps({"samples": [{"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[3]]}}]}),
            "holds 1 samples, but the version records 2",
        ),
    ],
)
async def test_an_unusable_golden_set_fails_in_words(  # noqa: PLR0917
    sentinel, config, scripted, models, content, words
):
    path = Folders.of(models, config).artifact / "assets.extra" / "golden.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    probe = await sentinel(config, scripted.address)
    status = await probe.until("/status", lambda _, body: body["golden"] == "Failed")
    assert words in status["message"]


async def test_a_golden_path_cannot_leave_the_artifact(sentinel, config, scripted):
    outside = config.golden_set.model_copy(update={"path": "../../../etc/passwd"})
    probe = await sentinel(config.model_copy(update={"golden_set": outside}), scripted.address)
    status = await probe.until("/status", lambda _, body: body["golden"] == "Failed")
    assert "outside the artifact" in status["message"]


async def test_metrics_carry_the_version_and_the_own_calls(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    scripted.serve_others(5)
    _, text = await probe.get("/metrics")
    labels = 'model="digits",version="3"'
    count = 'modelyard_server_request_count_total{model="digits",status="OK",version="3"} 8.0'
    assert count in text
    assert f"modelyard_sentinel_requests_total{{{labels}}} 3.0" in text, "a status, two samples"
    assert f"modelyard_sentinel_ready{{{labels}}} 1.0" in text


async def test_metrics_of_a_stopped_server(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await scripted.stop()
    _, text = await probe.get("/metrics")
    assert 'modelyard_server_up{model="digits",version="3"} 0.0' in text
    await scripted.start()


async def test_draining_an_idle_server_takes_the_still_second(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    started = time.monotonic()
    _, answer = await probe.get("/drain")
    assert answer["quiet"] is True
    assert time.monotonic() - started >= drains.STILL_SECONDS


async def test_draining_waits_for_the_endpoints_first(sentinel, config, scripted):
    probe = await sentinel(config.model_copy(update={"drain_seconds": 2}), scripted.address)
    _, answer = await probe.get("/drain")
    assert answer["seconds"] >= 2 + drains.STILL_SECONDS


async def test_draining_lasts_as_long_as_requests_come(sentinel, config, scripted, monkeypatch):
    monkeypatch.setattr(drains, "SLACK_SECONDS", 2.5)
    probe = await sentinel(config, scripted.address)
    scripted.traffic = 1
    _, answer = await probe.get("/drain")
    assert answer["quiet"] is False
    assert answer["seconds"] >= 2.5


async def test_own_looks_do_not_hold_up_a_drain(sentinel, config, scripted):
    """The server counts status requests as traffic, so a drain asks for none."""
    scripted.state = "LOADING"
    probe = await sentinel(config, scripted.address)
    await probe.until("/ready", lambda _, body: "LOADING" in body["reason"])
    _, answer = await probe.get("/drain")
    assert answer["quiet"] is True
    assert answer["seconds"] < 2 * drains.STILL_SECONDS
    scripted.state = "AVAILABLE"
    await probe.until_ready()


async def test_a_ready_server_is_not_kept_busy(sentinel, config, scripted):
    """Looks at a ready server leave its request counter alone, or idle pods would show traffic."""
    probe = await sentinel(config, scripted.address)
    await probe.until_ready()
    before, looks = scripted.counts.total(), scripted.metrics_read
    await probe.until("/healthz", lambda *_: scripted.metrics_read > looks + 1)
    assert scripted.counts.total() == before


async def test_draining_a_stopped_server_ends_at_once(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    await scripted.stop()
    _, answer = await probe.get("/drain")
    assert answer["reason"] == "the server has stopped"
    assert answer["seconds"] < drains.STILL_SECONDS
    await scripted.start()


async def test_own_predictions_do_not_hold_up_a_drain():
    """The own calls are subtracted: a counter that moves by them alone stands still."""
    answered, own = iter(range(100)), iter(range(100))

    async def others():
        return next(answered) - next(own)

    drained = await drains.drain(others, 0)
    assert drained.quiet
    assert drained.seconds < 2 * drains.STILL_SECONDS


async def test_a_server_too_busy_to_count_is_not_standing_still(monkeypatch):
    monkeypatch.setattr(drains, "SLACK_SECONDS", 1.5)

    async def busy():
        raise servers.Silent("busy")

    assert not (await drains.drain(busy, 0)).quiet


async def test_the_sentinel_says_that_it_is_alive(sentinel, config, scripted):
    probe = await sentinel(config, scripted.address)
    assert await probe.get("/healthz") == (200, {"watching": True})
