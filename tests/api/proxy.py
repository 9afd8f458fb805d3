"""An HTTP proxy between one operator and the API server that can do what networks and servers do.

    door = Door(access)
    await door.open()
    door.faults.append(Answer(503, lambda request: request.write))

A door belongs to one operator. Each request goes to the first fault that wants it; without one, or
once a fault calls `forward`, it reaches the API server. Watches are passed on event by event.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from tests.api.admin import Access

HOP = frozenset({"connection", "host", "transfer-encoding", "content-length", "keep-alive"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
EVENT_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """What a fault decides by."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def watch(self) -> bool:
        """Whether the answer never ends."""
        return "watch" in self.query

    @property
    def lease(self) -> bool:
        """Whether it is about leadership: such requests follow the clock, not the work."""
        return "/leases" in self.path

    @property
    def write(self) -> bool:
        """Whether it changes anything but the Lease."""
        return self.method in WRITES and not self.lease

    @property
    def event(self) -> bool:
        """Whether it posts an Event: nothing waits for those, so they come in any order."""
        return self.path.endswith("/events")

    @property
    def read(self) -> bool:
        """Whether it is a GET or a LIST of anything that the operator works with."""
        return (
            self.method == "GET"
            and not self.lease
            and not self.watch
            and "/namespaces/" in (self.path)
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}{' (watch)' if self.watch else ''}"


@dataclass(frozen=True)
class Reply:
    """An answer, complete."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def failure(cls, status: int, request: Request, **headers: str) -> "Reply":
        """Return what the API server would say, which a fault says in its place."""
        reason = REASONS[status]
        if status == 409 and request.method == "POST":
            reason = "AlreadyExists"
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
        body |= {"reason": reason, "message": "said by the proxy"}
        content = {"Content-Type": "application/json", **headers}
        return cls(status, content, json.dumps(body).encode())


@dataclass
class Exchange:
    """One request on its way."""

    request: Request
    forward: Callable[[], Awaitable[Reply]]
    cut: Callable[[Reply | None], Awaitable[None]]
    """End the connection: at once, or in the middle of an answer."""


class Fault(Protocol):
    """Something that happens to requests."""

    def wants(self, request: Request) -> bool:
        """Tell whether it happens to this one; asked once per request."""

    async def happen(self, exchange: Exchange) -> Reply | None:
        """Return the answer, None if the connection was cut."""


class WatchFault(Protocol):
    """Something that happens to watch events."""

    async def event(self, request: Request, line: bytes) -> list[bytes]:
        """Return the lines to send in the place of one; may wait for ever."""


@dataclass
class Door:
    """One way through the proxy."""

    access: Access
    faults: list[Fault] = field(default_factory=list)
    watch_faults: list[WatchFault] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    """Every request, in the order of arrival."""
    port: int = 0

    async def open(self) -> "Door":
        """Listen on a loopback port."""
        connector = aiohttp.TCPConnector(ssl=self.access.anonymous, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=EVENT_BYTES,
        )
        app = web.Application(client_max_size=EVENT_BYTES * 8)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()
        await self._session.close()

    @property
    def url(self) -> str:
        """Where an operator finds it."""
        return f"http://127.0.0.1:{self.port}"

    def writes(self) -> list[Request]:
        """Return the writes that were attempted so far, Leases and Events apart."""
        return [request for request in self.seen if request.write and not request.event]

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(incoming.method, incoming.path, dict(incoming.query))
        self.seen.append(request)
        body = await incoming.read()
        headers = {k: v for k, v in incoming.headers.items() if k.lower() not in HOP}
        arguments = {"params": request.query, "data": body or None, "headers": headers}

        async def forward() -> Reply:
            async with self._session.request(
                request.method, self.access.url + request.path, **arguments
            ) as answer:
                return Reply(answer.status, _passed(answer), await answer.read())

        fault = next((f for f in list(self.faults) if f.wants(request)), None)
        if fault is None and request.watch:
            return await self._watch(incoming, request, headers)
        exchange = Exchange(request, forward, lambda reply: _cut(incoming, reply))
        reply = await (fault.happen(exchange) if fault else _reached(exchange))
        if reply is None:
            await _cut(incoming, None)
            return web.Response()
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _watch(
        self, incoming: web.Request, request: Request, headers: dict[str, str]
    ) -> web.StreamResponse:
        out = web.StreamResponse()
        try:
            async with self._session.get(
                self.access.url + request.path, params=request.query, headers=headers
            ) as answer:
                out.set_status(answer.status)
                out.headers.update(_passed(answer))
                await out.prepare(incoming)
                async for line in answer.content:
                    for passed in await self._faulty(request, line):
                        await out.write(passed)
                await out.write_eof()
        except aiohttp.ClientError:  # the API server is away, and so is the connection
            await _cut(incoming, None)
        return out

    async def _faulty(self, request: Request, line: bytes) -> list[bytes]:
        if request.lease:
            return [line]
        lines = [line]
        for fault in self.watch_faults:
            lines = [out for each in lines for out in await fault.event(request, each)]
        return lines


async def _reached(exchange: Exchange) -> Reply | None:
    """Return the API server's answer; it may be away."""
    try:
        return await exchange.forward()
    except aiohttp.ClientError:
        return None


def _passed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.lower() not in HOP}


async def _cut(incoming: web.Request, reply: Reply | None) -> None:
    """End the connection, after half of an answer if there is one."""
    transport = incoming.transport
    if transport is None:
        return
    if reply is not None:
        out = web.StreamResponse(status=reply.status, headers=reply.headers)
        out.content_length = len(reply.body)
        await out.prepare(incoming)
        await out.write(reply.body[: len(reply.body) // 2])
        await asyncio.sleep(0)
    transport.abort()


def as_event(line: bytes) -> dict[str, Any]:
    """Return a watch event as JSON."""
    found: dict[str, Any] = json.loads(line)
    return found
