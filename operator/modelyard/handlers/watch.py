"""kopf's part: it watches, and every event lands in the cache. Nothing else of kopf is used.

An event handler must not fail and must not wait: it only files what it was told.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import chain, repeat
from typing import Any, cast

import kopf

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.handlers.essence import NoDiffs
from modelyard.kube.cache import Cache
from modelyard.kube.connection import Connection
from modelyard.kube.kinds import CHILDREN, ROOTS, Kind, key_of
from modelyard.kube.session import open_session

PAGE = 500
WORKER_SECONDS = 0.5
"""For how long a worker of kopf's waits for the next event of its object, and holds the last one:
thousands of objects at once would otherwise keep their whole content in memory."""
RELIST_SECONDS = 1.0
"""Pause before a LIST begins anew."""


class Patience:
    """Pauses between attempts to reach the API server, in seconds: they never end."""

    def __iter__(self) -> Iterator[float]:
        """Return pauses for one request."""
        return chain((0.2, 0.5, 1, 2, 3, 5), repeat(10))


class WatchEnded(Exception):  # noqa: N818 - a fact, and the end of this process
    """Nothing keeps the cache up to date any more."""


async def watch(
    connection: Connection,
    cache: Cache,
    namespaces: tuple[str, ...],
    relisted: Callable[[], None],
    take_signals: Callable[[], None],
) -> None:
    """Watch until cancelled.

    Args:
        connection: the API server.
        cache: where events are filed.
        namespaces: what to watch; empty means all.
        relisted: called when an object comes from a LIST: events may have been missed, above all
            deletions, which kopf never makes up for.
        take_signals: called once kopf has taken SIGTERM and SIGINT for itself, to take them back.

    Raises:
        WatchEnded: kopf failed, though no answer of the API server should make it. It cannot begin
            anew in the same process: it ends every task that began after its own.
    """
    others = asyncio.all_tasks()
    async with AsyncExitStack() as sessions:
        tasks = await kopf.spawn_tasks(
            registry=_registry(connection, sessions, cache, relisted),
            settings=_settings(),
            standalone=True,
            identity=cast(Any, "modelyard"),  # kopf's own guess fails for a user without a name
            clusterwide=not namespaces,
            namespaces=namespaces,
        )
        take_signals()
        try:
            await kopf.run_tasks(tasks, ignored=others)
        except Exception as error:
            raise WatchEnded(f"kopf has stopped watching: {error!r}") from error
    raise WatchEnded("kopf has stopped watching")


def _registry(
    connection: Connection, sessions: AsyncExitStack, cache: Cache, relisted: Callable[[], None]
) -> kopf.OperatorRegistry:
    """Return kopf's registry with one `on.event` per kind."""
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.AiohttpSession:
        session = await sessions.enter_async_context(open_session(connection))
        return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

    kopf.on.login(registry=registry)(login)
    for kind in (*ROOTS, *CHILDREN):
        kopf.on.event(*_place(kind), registry=registry)(_filing(cache, kind, relisted))
    return registry


def _settings() -> kopf.OperatorSettings:
    """Return kopf's settings: our children only, no Events, no peering, much patience."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDiffs()
    settings.queueing.idle_timeout = WORKER_SECONDS
    settings.watching.server_timeout = 300
    settings.watching.chunk_size = PAGE
    settings.watching.reconnect_backoff = RELIST_SECONDS
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Patience()
    for kind in CHILDREN:  # on the server's side: other people's pods never travel
        settings.watching.label_selectors[_place(kind)] = LABEL_OWNER_UID
    return settings


def _place(kind: Kind) -> tuple[str, str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural


def _filing(cache: Cache, kind: Kind, relisted: Callable[[], None]) -> Any:
    async def file(event: dict[str, Any], **_: Any) -> None:
        raw = dict(event["object"])
        raw.setdefault("apiVersion", kind.api_version)
        raw.setdefault("kind", kind.name)
        if event["type"] == "DELETED":
            cache.remove(key_of(raw), raw["metadata"]["uid"])
            return
        if event["type"] is None:
            relisted()
        cache.put(raw)

    return file
