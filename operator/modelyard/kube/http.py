"""Health and metrics over plain HTTP: `/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PORT = 8081

Complaint = Callable[[], str]
"""Returns what is wrong in plain words, empty if nothing is."""


async def serve(
    registry: CollectorRegistry, alive: Complaint, ready: Complaint, port: int = PORT
) -> web.AppRunner:
    """Start answering; call `cleanup` on the returned runner to stop."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(ready())

    async def metrics(_: web.Request) -> web.Response:
        return _metrics(registry)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _answer(complaint: str) -> web.Response:
    return web.Response(text=complaint or "ok", status=503 if complaint else 200)


def _metrics(registry: CollectorRegistry) -> web.Response:
    body = generate_latest(registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
