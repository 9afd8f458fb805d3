"""kopf's part: it watches, and every event lands in the cache. Nothing else of kopf is used.

An event handler must not fail and must not wait: it only files what it was told.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import kopf

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.handlers.essence import NoDiffs
from modelyard.kube.cache import Cache
from modelyard.kube.connection import Connection
from modelyard.kube.kinds import CHILDREN, ROOTS, Kind, key_of

PAGE = 500
PATIENCE = [0.2, 0.5, 1, 2, 3, 5, *[10] * 400]
"""Pauses between attempts to reach the API server, in seconds: about an hour, then kopf gives up
and the process ends."""


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
        WatchEnded: an answer of the API server was too much for kopf. It cannot begin anew in the
            same process: it ends every task that began after its own.
    """
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=_registry(connection, cache, relisted),
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
    connection: Connection, cache: Cache, relisted: Callable[[], None]
) -> kopf.OperatorRegistry:
    """Return kopf's registry with one `on.event` per kind."""
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _credentials(connection)

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
    settings.watching.server_timeout = 300
    settings.watching.chunk_size = PAGE
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = PATIENCE
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


async def _credentials(connection: Connection) -> kopf.ConnectionInfo:
    """Return our own connection in kopf's words; kopf asks again when a token has expired."""
    settings = connection.configuration
    scheme, _, token = (await connection.authorization()).get("Authorization", "").partition(" ")
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_path=settings.ssl_ca_cert,
        insecure=not settings.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=settings.cert_file,
        private_key_path=settings.key_file,
    )
