"""The session that kopf watches through: whatever the API server says, kopf goes on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelyard.kube.connection import Connection
from modelyard.kube.session import EXPIRED, open_session

LIST = {"limit": "500"}
WATCH = {"watch": "true"}
ADDED = b'{"type":"ADDED","object":{"message":"ERROR"}}\n'

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Asking = Callable[..., Awaitable[aiohttp.ClientResponse]]


class Settings:
    """What a kubeconfig says, with a token that rotates."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._tokens = count(1)

    async def auth_settings(self) -> dict[str, Any]:
        return {"BearerToken": {"value": f"Bearer {next(self._tokens)}"}}


@asynccontextmanager
async def asking(answering: Answering) -> AsyncIterator[Asking]:
    """Serve on a loopback port, and ask through the session."""
    app = web.Application()
    app.router.add_get("/pods", answering)
    async with TestServer(app) as server:
        connection = Connection(Settings(str(server.make_url(""))))
        async with open_session(connection) as session:
            yield lambda query: session.get(connection.server + "/pods", params=query)


def says(status: int) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": status}, status=status)

    return answer


def streams(*chunks: bytes) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        out = web.StreamResponse()
        await out.prepare(request)
        for chunk in chunks:
            await out.write(chunk)
        return out

    return answer


async def lines(asked: Awaitable[aiohttp.ClientResponse]) -> list[bytes]:
    """Read a watch as kopf does."""
    async with await asked as answer:
        assert answer.status == 200
        chunks = [chunk async for chunk in answer.content.iter_chunked(1024)]
    return b"".join(chunks).splitlines(keepends=True)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
async def test_a_list_that_is_refused_is_tried_again(status: int) -> None:
    async with asking(says(status)) as ask:
        answer = await ask(LIST)
        assert answer.status == 503
        assert (await answer.json())["code"] == status


@pytest.mark.parametrize("status", [200, 403, 429, 500])
async def test_what_kopf_bears_is_left_as_it_is(status: int) -> None:
    async with asking(says(status)) as ask:
        assert (await ask(LIST)).status == status
        assert (await ask({})).status == status
        assert (await ask(WATCH)).status == status


async def test_discovery_may_find_nothing() -> None:
    async with asking(says(404)) as ask:
        assert (await ask({})).status == 404


async def test_a_list_whose_pages_have_expired_begins_anew() -> None:
    async with asking(says(410)) as ask:
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(LIST)


async def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        out = web.StreamResponse()
        out.content_length = 100
        await out.prepare(request)
        await out.write(b"{")
        assert request.transport
        request.transport.close()
        return out

    async with asking(answer) as ask:
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask(LIST)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_watch_that_is_refused_has_expired(status: int) -> None:
    async with asking(says(status)) as ask:
        assert await lines(ask(WATCH)) == [EXPIRED]


async def test_an_error_inside_a_watch_means_that_it_has_expired() -> None:
    error = b'{"type":"ERROR","object":{"code":500,"message":"no leader"}}\n'
    async with asking(streams(ADDED, error, ADDED)) as ask:
        assert await lines(ask(WATCH)) == [ADDED, EXPIRED]


async def test_events_come_whole_however_they_are_cut() -> None:
    async with asking(streams(ADDED[:7], ADDED[7:] + ADDED, ADDED[:9])) as ask:
        assert await lines(ask(WATCH)) == [ADDED, ADDED]


async def test_each_request_has_the_present_token() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(request.headers["Authorization"])

    async with asking(answer) as ask:
        assert [await (await ask({})).json() for _ in "ab"] == ["Bearer 1", "Bearer 2"]
