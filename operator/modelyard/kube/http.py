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
    app = web.Application()
    app.router.add_get("/healthz", lambda _: _answer(alive()))
    app.router.add_get("/readyz", lambda _: _answer(ready()))
    app.router.add_get("/metrics", lambda _: _metrics(registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


async def _answer(complaint: str) -> web.Response:
    return web.Response(text=complaint or "ok", status=503 if complaint else 200)


async def _metrics(registry: CollectorRegistry) -> web.Response:
    body = generate_latest(registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
