"""The end of connections: a TLS goodbye has an answer, and the process waits for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from localcluster import pki
from modelyard.kube.connection import Connection
from modelyard.kube.session import open_session
from tests.unit.kube.test_kube_session import Settings

HEADERS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def slow_server(folder: Path) -> AsyncIterator[tuple[Connection, asyncio.Event]]:
    """Serve watches, and read what comes after the request only once the event is set."""
    awake = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(HEADERS)
        await awake.wait()
        transport.resume_reading()
        with suppress(ConnectionError):
            await reader.read()
            writer.close()
            await writer.wait_closed()

    authority = pki.Authority.open(folder, "test")
    files = authority.issue(pki.Identity("server", hosts=("127.0.0.1",))).write(folder, "server")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*files)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving) as server:
        host = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        asking = ssl.create_default_context(cadata=authority.certificate.decode())
        yield Connection(Settings(host), asking), awake


async def test_a_request_that_is_cut_short_ends_with_an_answered_goodbye(tmp_path: Path) -> None:
    async with slow_server(tmp_path) as (connection, awake):
        async with (
            open_session(connection) as session,
            session.get(connection.server, params={"watch": "true"}),
        ):
            pass
        closed = asyncio.create_task(connection.closed())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(closed), 0.1)
        awake.set()
        await asyncio.wait_for(closed, 4)
