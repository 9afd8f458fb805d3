"""The sidecar: readiness, status, draining, and metrics of one served version."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from modelyard.api.run import ExitCode
from modelyard.api.serve import FetchReceipt, SentinelStatus, ServeConfig, ServerCounters
from modelyard.sentinel.counters import counters_of
from modelyard.sentinel.drain import drain
from modelyard.sentinel.errors import Stopped
from modelyard.sentinel.folders import Folders, read_receipt
from modelyard.sentinel.metrics import OwnFigures, exposition_of
from modelyard.sentinel.server import Gone, ModelServer, Silent
from modelyard.sentinel.watch import Watch

MAX_MESSAGE = 1024
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_log = logging.getLogger("modelyard.sentinel")


class Sentinel:
    """The HTTP side of the sentinel; a `Watch` behind it knows the answers."""

    def __init__(self, config: ServeConfig, receipt: FetchReceipt, models: Path) -> None:
        self._config = config
        self._receipt = receipt
        self._models = models

    def application(self, server: str) -> web.Application:
        """Return the application; `server` is the REST address of the model server."""
        app = web.Application()
        app.cleanup_ctx.append(lambda _: self._watching(server))
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/ready", self._ready),
                web.get("/status", self._status),
                web.get("/drain", self._drain),
                web.get("/metrics", self._metrics),
            ]
        )
        return app

    async def _watching(self, address: str) -> AsyncIterator[None]:
        """Watch the server for as long as the application runs."""
        async with aiohttp.ClientSession() as session:
            self._server = ModelServer(
                session, address, self._config.model_name, self._config.version
            )
            self._watch = Watch(self._config, self._models, self._server)
            self._looking = asyncio.create_task(self._watch.run())
            self._looking.add_done_callback(_end_with)
            yield
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _healthz(self, _: web.Request) -> web.Response:
        """Whether the sentinel itself works; says nothing of the server."""
        alive = not self._looking.done()
        return web.json_response({"watching": alive}, status=200 if alive else 500)

    async def _ready(self, _: web.Request) -> web.Response:
        """The pod's readiness: 200, or 503 with the reason."""
        health = self._watch.health
        if health.ready:
            return web.json_response({"ready": True})
        reason = {"ready": False, "golden": health.verdict, "reason": health.message}
        return web.json_response(reason, status=503)

    async def _status(self, _: web.Request) -> web.Response:
        """What the operator compares before it moves traffic, and judges while it does."""
        health = self._watch.health
        status = SentinelStatus(
            digest=self._receipt.manifest_digest,
            golden=health.verdict,
            message=health.message[:MAX_MESSAGE],
            counters=await self._counters() if health.ready else None,
        )
        return web.json_response(status.dump())

    async def _counters(self) -> ServerCounters | None:
        """Return what the server has answered to others; None if it does not tell."""
        try:
            text = await self._server.metrics_text()
            return counters_of(text, self._config.model_name, self._server.own_requests)
        except (Gone, Silent, ValueError) as error:
            _log.warning("the server's counters cannot be read: %s", error)
            return None

    async def _drain(self, _: web.Request) -> web.Response:
        """The server's preStop hook: answered when it may stop."""
        with self._watch.hushed():
            drained = await drain(self._others_requests, self._config.drain_seconds)
        level = logging.INFO if drained.quiet else logging.WARNING
        _log.log(level, "drained after %.1f s: %s", drained.seconds, drained.reason)
        return web.json_response(
            {"seconds": round(drained.seconds, 3), "quiet": drained.quiet, "reason": drained.reason}
        )

    async def _others_requests(self) -> int:
        """Return how many requests of others the server has answered."""
        return await self._server.request_count() - self._server.own_requests

    async def _metrics(self, _: web.Request) -> web.Response:
        """The server's figures under usable names, and the sentinel's own."""
        try:
            text = await self._server.metrics_text()
        except (Gone, Silent):
            text = None
        own = OwnFigures(text is not None, self._watch.health.ready, self._server.own_requests)
        body, fault = exposition_of(text, self._config.model_name, self._config.version, own)
        if fault:
            _log.warning("%s", fault)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _end_with(looking: "asyncio.Task[None]") -> None:
    """End the program when its watch has died of a bug: a stale answer is worse than a restart."""
    if not looking.cancelled() and (error := looking.exception()):
        _log.critical("the watch of the server died", exc_info=error)
        raise web.GracefulExit


def serve(config: ServeConfig, models: Path, server: str, port: int) -> None:
    """Run the sidecar until SIGTERM.

    Raises:
        Stopped: The fetcher has not left the version that `config` names in `models`.
    """
    receipt = read_receipt(Folders.of(models, config).receipt)
    if receipt is None or receipt.manifest_digest != config.manifest_digest:
        found = receipt.manifest_digest if receipt else "nothing"
        raise Stopped(
            ExitCode.DATA_ERROR,
            f"{models} should hold {config.model_name} {config.version} "
            f"({config.manifest_digest}), but the fetcher left {found}; delete the pod",
        )
    app = Sentinel(config, receipt, models).application(server)
    web.run_app(app, port=port, print=None, access_log=None, shutdown_timeout=5)
