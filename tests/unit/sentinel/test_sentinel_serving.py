"""The sentinel before the real stand-in server with a real SavedModel."""

import json
from collections import Counter

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelyard.sentinel.fetch import MONITORING
from modelyard.sentinel.folders import Folders
from tests.standin import METRICS_PATH, WAIT_SECONDS, StandIn

pytest_plugins = ["tests.plugins.standin"]

SAMPLE = {"inputs": {"x": [[1.0, 2.0, 3.0]]}, "outputs": {"y": [[2.5, 3.0, 3.5]]}}


@pytest.fixture
def config(config):
    """The contract of the version that the stand-in serves."""
    return config.model_copy(update={"model_name": "conformance"})


@pytest.fixture
def golden(models, config):
    """Writes the golden set of two samples."""

    def write(*samples):
        path = Folders.of(models, config).artifact / "assets.extra" / "golden.json"
        path.write_text(json.dumps({"samples": samples}))

    write(SAMPLE, SAMPLE)
    return write


async def until_ready(probe):
    await probe.until("/ready", lambda code, _: code == 200, WAIT_SECONDS)


async def predict(server):
    url = f"http://{server.rest}/v1/models/conformance:predict"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"inputs": SAMPLE["inputs"]}) as reply,
    ):
        assert json.loads(await reply.text()) == {"outputs": SAMPLE["outputs"]["y"]}


async def others(probe):
    """Return the requests that the server answered to anybody but this sentinel."""
    _, text = await probe.get("/metrics")
    totals = Counter()
    for family in text_string_to_metric_families(text):
        totals[family.name] += sum(sample.value for sample in family.samples)
    return totals["modelyard_server_request_count"] - totals["modelyard_sentinel_requests"]


@pytest.mark.usefixtures("golden")
async def test_a_server_that_reproduces_its_predictions_becomes_ready(sentinel, config, standin):
    probe = await sentinel(config, f"http://{standin.rest}")
    await until_ready(probe)
    _, status = await probe.get("/status")
    proved = {"digest": config.manifest_digest, "golden": "Passed", "message": ""}
    assert status.items() >= proved.items()

    before = await others(probe)
    await predict(standin)
    assert await others(probe) == before + 1
    _, text = await probe.get("/metrics")
    assert "modelyard_server_request_latency_bucket{" in text
    assert 'le="+Inf",model="conformance",version="3"' in text
    assert ":tensorflow" not in text


async def test_a_server_that_answers_otherwise_never_becomes_ready(
    sentinel, config, standin, golden
):
    golden(SAMPLE, SAMPLE | {"outputs": {"y": [[2.5, 3.0, 7.5]]}})
    probe = await sentinel(config, f"http://{standin.rest}")
    status = await probe.until("/status", lambda _, body: body["golden"] == "Failed", WAIT_SECONDS)
    assert status["message"] == "golden sample 2 of 2: output 'y'[0][2]: expected 7.5, got 3.5"


@pytest.mark.usefixtures("golden")
async def test_an_idle_server_is_drained_although_the_sentinel_looks_at_it(
    sentinel, config, standin
):
    probe = await sentinel(config, f"http://{standin.rest}")
    await until_ready(probe)
    _, answer = await probe.get("/drain")
    assert (answer["quiet"], answer["reason"]) == (True, "no more requests")


@pytest.mark.usefixtures("golden")
async def test_a_killed_server_loses_readiness_and_has_to_prove_itself_again(
    sentinel, config, model_folder, tmp_path
):
    server = StandIn(tmp_path / "server.log", model_folder / "conformance")
    try:
        probe = await sentinel(config, f"http://{server.rest}")
        await until_ready(probe)
        server.kill()
        await probe.until(
            "/ready", lambda _, body: "nothing answers" in body.get("reason", ""), WAIT_SECONDS
        )
        server.start()
        await until_ready(probe)
        assert await others(probe) >= 0, "calls to the killed server count for the new one"
    finally:
        server.stop()


def test_the_fetcher_opens_the_metrics_where_the_sentinel_reads_them():
    assert f'path: "{METRICS_PATH}"' in MONITORING
