"""Fill the cache from LISTs, and drop what a watch gap hid.

kopf never says that an object vanished while a watch was broken, so the truth about absence comes
from a LIST, never from events. An event that got lost in a watch that goes on is made up for, too.
"""

import asyncio

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.kinds import CHILDREN, ROOTS, Key, Kind, Raw, resource_version
from modelyard.kube.metrics import LoopMetrics

Namespaces = tuple[str, ...]
GRACE_SECONDS = 1.0
"""How long an event that is under way may take before the object is read instead."""


def places(namespaces: Namespaces) -> list[tuple[Kind, str]]:
    """Return what has to be listed, children before their owners."""
    return [(kind, n) for kind in (*CHILDREN, *ROOTS) for n in namespaces or ("",)]


async def fill(client: Client, cache: Cache, kind: Kind, namespace: str) -> None:
    """Bring one kind in the cache up to date with the API server."""
    before = _cached(cache, kind, namespace)  # what is made during the LIST is no ghost
    alive = set()
    for raw in await client.list_objects(kind, namespace, _label(kind)):
        raw.setdefault("kind", kind.name)
        raw.setdefault("apiVersion", kind.api_version)
        cache.put(raw)
        alive.add(raw["metadata"]["uid"])
    _drop_ghosts(cache, before, alive)


async def sweep(client: Client, cache: Cache, namespaces: Namespaces, metrics: LoopMetrics) -> None:
    """Make the cache agree with the API server, whatever the watches lost.

    Reads metadata only, and whole objects only where the cache stays behind for a while. What is
    gone is dropped before its children are, or they would be missed and made again; what is new is
    read after its children.
    """
    behind: list[tuple[Kind, Raw]] = []
    for kind, namespace in reversed(places(namespaces)):
        before = _cached(cache, kind, namespace)
        listed = await client.list_metadata(kind, namespace, _label(kind))
        alive = {raw["metadata"]["uid"] for raw in listed}
        metrics.ghosts.inc(_drop_ghosts(cache, before, alive))
        behind += [(kind, raw) for raw in listed if _is_behind(cache, kind, raw)]
    await asyncio.sleep(GRACE_SECONDS if behind else 0)
    for kind, raw in reversed(behind):
        if _is_behind(cache, kind, raw):
            metrics.missed.inc(await _catch_up(client, cache, kind, raw["metadata"]))


def _is_behind(cache: Cache, kind: Kind, listed: Raw) -> bool:
    """Tell whether the cache knows an older state of a listed object, or none."""
    meta = listed["metadata"]
    known = cache.get(Key(kind.name, meta.get("namespace", ""), meta["name"]))
    return known is None or resource_version(known) < resource_version(listed)


async def _catch_up(client: Client, cache: Cache, kind: Kind, meta: Raw) -> bool:
    """Read one object; return whether that was news."""
    found = await client.get(kind, meta.get("namespace", ""), meta["name"])
    return found is not None and cache.put(found)


def _label(kind: Kind) -> str:
    return LABEL_OWNER_UID if kind in CHILDREN else ""


def _cached(cache: Cache, kind: Kind, namespace: str) -> dict[Key, str]:
    """Return the cached uids of a kind, of all namespaces if none is named."""
    keys = cache.keys(kind.name, namespace or None)
    found = {key: cache.get(key) for key in keys}
    return {key: raw["metadata"]["uid"] for key, raw in found.items() if raw}


def _drop_ghosts(cache: Cache, before: dict[Key, str], alive: set[str]) -> int:
    """Remove what was cached before a LIST and is not in it; return how many those were."""
    return sum(cache.remove(key, uid) for key, uid in before.items() if uid not in alive)
