"""A scripted server, and the sentinel in front of whatever server a test gives it.

The scripted server is a real HTTP server that speaks the subset of the model server's REST API that
the sentinel uses. It exists for answers that a healthy server never gives (500, 503, half-loaded
versions, wrong numbers, silence); everything else is tested against the real stand-in in
`test_sentinel_serving.py`.
"""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelyard.api.serve import FetchReceipt, ServeConfig
from modelyard.api.version import GoldenSet
from modelyard.sentinel.folders import Folders
from modelyard.sentinel.serve import Sentinel

DIGEST = "sha256:" + "ab" * 32
GOLDEN = {
    "samples": [
        {"inputs": {"x": [[1.0, 2.0]]}, "outputs": {"y": [[3.0]]}},
        {"inputs": {"x": [[3.0, 4.0]]}, "outputs": {"y": [[7.0]]}},
    ]
}


class ScriptedServer:
    """Answers as its attributes say; change them at any time."""

    def __init__(self):
        self.state = "AVAILABLE"
        self.load_error = ""
        self.status_code = 200
        self.predict_code = 200
        self.offset = 0.0
        self.metrics_code = 200
        self.counts = Counter()
        self.predictions = 0
        self.traffic = 0
        self.metrics_read = 0
        self._runner = None
        self._port = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self._port}"

    async def start(self):
        app = web.Application()
        app.router.add_get("/v1/models/digits/versions/3", self._status)
        app.router.add_post("/v1/models/digits/versions/3:predict", self._predict)
        app.router.add_get("/monitoring/prometheus/metrics", self._metrics)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Stop listening and forget the counters, as a server that ends."""
        await self._runner.cleanup()
        self.counts.clear()

    def serve_others(self, requests):
        """Count requests of other clients."""
        self.counts["OK"] += requests

    async def _status(self, _):
        self.serve_others(1)
        if self.status_code != 200:
            return web.Response(status=self.status_code, text='{"error": "scripted"}')
        status = {"error_code": "OK", "error_message": self.load_error}
        return web.json_response(
            {"model_version_status": [{"version": "3", "state": self.state, "status": status}]}
        )

    async def _predict(self, request):
        self.predictions += 1
        self.counts["OK" if self.predict_code == 200 else "INTERNAL"] += 1
        if self.predict_code != 200:
            return web.Response(status=self.predict_code, text='{ "error": "scripted fault" }')
        body = json.loads(await request.text())
        sums = [[sum(row) + self.offset] for row in body["inputs"]["x"]]
        return web.Response(text=json.dumps({"outputs": sums}))

    async def _metrics(self, _):
        if self.metrics_code != 200:
            return web.Response(status=self.metrics_code)
        self.metrics_read += 1
        self.serve_others(self.traffic)
        lines = ["# TYPE :tensorflow:serving:request_count counter"]
        lines += [
            f':tensorflow:serving:request_count{{model_name="digits",status="{status}"}} {count}'
            for status, count in self.counts.items()
        ]
        return web.Response(text="\n".join(lines) + "\n")


class Probe:
    """A client of one sentinel."""

    def __init__(self, session, base):
        self._session = session
        self._base = base

    async def get(self, path):
        async with self._session.get(f"{self._base}{path}") as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if path != "/metrics" else text

    async def until(self, path, reached, seconds=20.0):
        """Wait until the answer to `path` is as wanted; fail with the last answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            last = await self.get(path)
            if reached(*last):
                return last[1]
            await asyncio.sleep(0.02)
        return pytest.fail(f"{path} never came to that; last answer: {last}")

    async def until_ready(self, wanted=True):
        return await self.until("/ready", lambda code, _: (code == 200) is wanted)


@pytest.fixture
def config():
    """The serving contract of `digits` 3 with two golden samples."""
    return ServeConfig(
        store={"bucket": "models"},
        namespace="team",
        model_name="digits",
        version=3,
        manifest_digest=DIGEST,
        golden_set=GoldenSet(path="assets.extra/golden.json", samples=2),
        drain_seconds=0,
    )


@pytest.fixture
def models(tmp_path: Path, config):
    """A models directory as the fetcher leaves it, with the golden set and no model."""
    folders = Folders.of(tmp_path / "models", config)
    golden = folders.artifact / "assets.extra" / "golden.json"
    golden.parent.mkdir(parents=True)
    golden.write_text(json.dumps(GOLDEN))
    folders.config.mkdir()
    receipt = FetchReceipt(model_name=config.model_name, version=3, manifest_digest=DIGEST)
    folders.receipt.write_text(receipt.model_dump_json(by_alias=True))
    return folders.models


@pytest.fixture
async def scripted():
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def sentinel(models):
    """Start a sentinel: `await sentinel(config, address)` returns a `Probe` of it."""
    started = []
    async with aiohttp.ClientSession() as session:

        async def start(config, address):
            receipt = FetchReceipt(
                model_name=config.model_name, version=config.version, manifest_digest=DIGEST
            )
            server = TestServer(Sentinel(config, receipt, models).application(address))
            await server.start_server()
            started.append(server)
            return Probe(session, str(server.make_url("")).rstrip("/"))

        yield start
        for server in started:
            await server.close()
