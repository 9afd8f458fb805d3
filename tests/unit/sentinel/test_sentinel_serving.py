"""The sentinel before the real stand-in server with a real SavedModel."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelyard.sentinel.fetch import MONITORING
from modelyard.sentinel.folders import Folders
from tests.seaweed import free_ports

SERVING = Path(__file__).parents[3] / "images" / "serving"
START_SECONDS = 120.0
SAVE = """
import sys
import tensorflow as tf

class Sum(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def serve(self, x):
        return {"y": tf.reduce_sum(x, axis=1, keepdims=True)}

module = Sum()
tf.saved_model.save(module, sys.argv[1], signatures={"serving_default": module.serve})
"""


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A SavedModel that adds two numbers."""
    folder = tmp_path_factory.mktemp("model") / "sum"
    subprocess.run(
        [sys.executable, "-c", SAVE, str(folder)],
        check=True,
        capture_output=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return folder


class StandIn:
    """The stand-in server as a process, with the flags of the serving pod."""

    def __init__(self, models: Path, log: Path):
        self._models = models
        self._log = log
        self._grpc, self._rest = free_ports(2)
        self.address = f"http://127.0.0.1:{self._rest}"
        self.process = None

    def start(self):
        flags = {
            "port": self._grpc,
            "rest_api_port": self._rest,
            "model_name": "digits",
            "model_base_path": self._models / "digits",
            "monitoring_config_file": self._models / ".config" / "monitoring.config",
            "file_system_poll_wait_seconds": 0,
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelyard_serving"]
                + [f"--{name}={value}" for name, value in flags.items()],
                env=os.environ | {"PYTHONPATH": str(SERVING), "CUDA_VISIBLE_DEVICES": ""},
                stdout=log,
                stderr=log,
            )

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(models, config, saved_model, tmp_path):
    """The stand-in with version 3 on its disk, not started yet."""
    folders = Folders.of(models, config)
    for path in saved_model.rglob("*"):
        if path.is_file():
            target = folders.artifact / path.relative_to(saved_model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    folders.monitoring.write_text(MONITORING)
    server = StandIn(models, tmp_path / "server.log")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


async def until_ready(probe):
    await probe.until("/ready", lambda code, _: code == 200, START_SECONDS)


async def predict(server):
    url = f"{server.address}/v1/models/digits:predict"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"inputs": {"x": [[1.0, 2.0]]}}) as reply,
    ):
        assert json.loads(await reply.text()) == {"outputs": [[3.0]]}


def others(text):
    """Return the requests that the server answered to anybody but the sentinel."""
    totals = Counter()
    for family in text_string_to_metric_families(text):
        totals[family.name] += sum(sample.value for sample in family.samples)
    return totals["modelyard_server_request_count"] - totals["modelyard_sentinel_requests"]


async def test_a_server_that_reproduces_its_predictions_becomes_ready(sentinel, config, server):
    server.start()
    probe = await sentinel(config, server.address)
    await until_ready(probe)
    _, status = await probe.get("/status")
    assert status == {"digest": config.manifest_digest, "golden": "Passed", "message": ""}

    await predict(server)
    text = await probe.until("/metrics", lambda _, text: others(text) == 1)
    assert "modelyard_server_request_latency_bucket{" in text
    assert 'le="+Inf",model="digits",version="3"' in text
    assert ":tensorflow" not in text


async def test_a_server_that_answers_otherwise_never_becomes_ready(
    sentinel, config, server, models
):
    golden = Folders.of(models, config).artifact / "assets.extra" / "golden.json"
    recorded = json.loads(golden.read_text())
    recorded["samples"][1]["outputs"]["y"] = [[7.5]]
    golden.write_text(json.dumps(recorded))
    server.start()
    probe = await sentinel(config, server.address)
    status = await probe.until("/status", lambda _, body: body["golden"] == "Failed", START_SECONDS)
    wanted = "golden sample 2 of 2: output 'y'[0][0]: expected 7.5, got 7.0"
    assert status["message"] == wanted


async def test_a_killed_server_loses_readiness_and_has_to_prove_itself_again(
    sentinel, config, server
):
    server.start()
    probe = await sentinel(config, server.address)
    await until_ready(probe)
    server.kill()
    answer = await probe.until_ready(False)
    assert "nothing answers" in answer["reason"]
    server.start()
    await until_ready(probe)
    assert others((await probe.get("/metrics"))[1]) == 0


async def test_a_drain_waits_for_the_last_request(sentinel, config, server):
    server.start()
    probe = await sentinel(config, server.address)
    await until_ready(probe)
    draining = asyncio.create_task(probe.get("/drain"))
    for _ in range(10):
        await predict(server)
        await asyncio.sleep(0.25)
        assert not draining.done()
    _, answer = await draining
    assert answer["quiet"] is True
    assert answer["seconds"] >= 2.5
