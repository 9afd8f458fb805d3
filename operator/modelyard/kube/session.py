"""The HTTP session that kopf watches through: no answer of the API server ends it.

kopf 1.45 tries again after 403, 429, 5xx and broken connections, and lists anew after a 410 inside
a watch. Of everything else it dies, and the process with it: of a 410 to a LIST or to the opening
of a watch, of another error inside a watch (etcd has lost its leader), of a second 401 in a row (a
token that rotates while the API server starts), of a 404 (a CRD that is replaced). This session
says each of those in words after which kopf goes on.

    401, 404, 409, … to a LIST or in discovery ─► 503: the same request again, ever later
    410 to a LIST (its pages have expired)     ─► the connection broke: a new LIST
    4xx to a watch, an error inside a watch    ─► 410 inside the watch: a new LIST
"""

import json
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, cast

import aiohttp

from modelyard.kube.connection import Connection

LOG = logging.getLogger("modelyard.session")
BORNE = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
"""What kopf tries again by itself, besides 5xx."""
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n'
ERROR = b'"ERROR"'
ERROR_WITHIN = 32
"""A watch event names its type first."""


def open_session(connection: Connection) -> aiohttp.ClientSession:
    """Return a session that authenticates each request anew; whoever gets it closes it."""

    async def translate(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(await connection.authorization())
        answer = await handler(request)
        if "watch" in request.url.query:
            return await _watched(answer)
        return await _read(answer, listing="limit" in request.url.query)

    return aiohttp.ClientSession(connector=connection.pool(0), middlewares=(translate,))


def _fatal(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and (
        status not in BORNE
    )


async def _read(answer: aiohttp.ClientResponse, listing: bool) -> aiohttp.ClientResponse:
    """Read an answer to its end, and let kopf repeat a request that was refused.

    Raises:
        aiohttp.ClientConnectionError: the answer broke off; kopf repeats the request.
        aiohttp.ClientPayloadError: the pages of a LIST have expired; kopf begins the LIST anew.
    """
    try:
        await answer.read()
    except aiohttp.ClientPayloadError as error:
        raise aiohttp.ClientConnectionError(f"the answer broke off: {error}") from error
    if listing and answer.status == HTTPStatus.GONE:
        LOG.info("a LIST begins anew: %s has expired", answer.url)
        raise aiohttp.ClientPayloadError("the pages of the LIST have expired")
    if _fatal(answer.status) and (listing or answer.status != HTTPStatus.NOT_FOUND):
        answer.status = HTTPStatus.SERVICE_UNAVAILABLE
    return answer


async def _watched(answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """Let a watch that is refused, or that fails later on, end as one that has expired."""
    if _fatal(answer.status):
        LOG.info("a watch begins anew: %s to %s", answer.status, answer.url)
        await answer.read()
        answer.status = HTTPStatus.OK
        answer.content = cast(aiohttp.StreamReader, _Events(answer.content, refused=True))
    elif answer.ok:
        answer.content = cast(aiohttp.StreamReader, _Events(answer.content))
    return answer


class _Events:
    """The lines of a watch; takes the place of an answer's content."""

    def __init__(self, content: aiohttp.StreamReader, refused: bool = False) -> None:
        self._content = content
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield whole lines until the watch ends; a line that is cut short tells nothing."""
        if self._refused:
            yield EXPIRED
            return
        rest = b""
        async for chunk in self._content.iter_chunked(size):
            whole, _, rest = (rest + chunk).rpartition(b"\n")
            error = _error_in(whole)
            if error is not None:
                LOG.info("a watch begins anew: %s", _told(error))
                yield whole[: whole.index(error)] + EXPIRED
                return
            if whole:
                yield whole + b"\n"


def _error_in(lines: bytes) -> bytes | None:
    """Return the first event that says that the watch has failed."""
    if ERROR not in lines:
        return None
    return next((line for line in lines.split(b"\n") if ERROR in line[:ERROR_WITHIN]), None)


def _told(line: bytes) -> str:
    """Return what an error inside a watch says."""
    try:
        return str(json.loads(line)["object"].get("message"))
    except (ValueError, LookupError, AttributeError):
        return line.decode(errors="replace")
