"""Fill the cache from LISTs, and drop what a watch gap hid.

kopf never says that an object vanished while a watch was broken, so the truth about absence comes
from a LIST, never from events. An event that got lost in a watch that goes on is made up for, too.

A LIST may be older than what is known already, from events or from our own writes: whatever is
newer than the LIST is no ghost.
"""

import asyncio
from collections.abc import Iterable

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client, Listing
from modelyard.kube.kinds import CHILDREN, ROOTS, Key, Kind, Raw, key_of, resource_version
from modelyard.kube.metrics import LoopMetrics

Namespaces = tuple[str, ...]
GRACE_SECONDS = 1.0
"""How long an event that is under way may take before the object is read instead."""


def places(namespaces: Namespaces, optional: Iterable[Kind] = ()) -> list[tuple[Kind, str]]:
    """Return what has to be listed, children before their owners.

    Args:
        namespaces: what is watched; empty means all.
        optional: kinds that this cluster serves beside those that every one does.
    """
    return [(kind, n) for kind in (*CHILDREN, *optional, *ROOTS) for n in namespaces or ("",)]


async def fill(
    client: Client, cache: Cache, kind: Kind, namespace: str, owner: str = ""
) -> Listing:
    """Bring one kind in the cache up to date, or only the children of the owner of that uid."""
    label = f"{LABEL_OWNER_UID}={owner}" if owner else _label(kind)
    listing = await client.list_objects(kind, namespace, label)
    for raw in listing.objects:
        raw.setdefault("kind", kind.name)
        raw.setdefault("apiVersion", kind.api_version)
        cache.put(raw)
    known = cache.children(owner, kind.name) if owner else _cached(cache, kind, namespace)
    _drop_ghosts(cache, known, listing)
    return listing


async def sweep(
    client: Client, cache: Cache, where: Iterable[tuple[Kind, str]], metrics: LoopMetrics
) -> None:
    """Make the cache agree with the API server, whatever the watches lost.

    Reads metadata only, and whole objects only where the cache stays behind for a while. What is
    gone is dropped before its children are, or they would be missed and made again; what is new is
    read after its children.
    """
    behind: list[tuple[Kind, Raw]] = []
    for kind, namespace in reversed(tuple(where)):
        listing = await client.list_metadata(kind, namespace, _label(kind))
        metrics.ghosts.inc(_drop_ghosts(cache, _cached(cache, kind, namespace), listing))
        behind += [(kind, raw) for raw in listing.objects if _is_behind(cache, kind, raw)]
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
    return LABEL_OWNER_UID if kind not in ROOTS else ""


def _cached(cache: Cache, kind: Kind, namespace: str) -> list[Raw]:
    """Return the cached objects of a kind, of all namespaces if none is named."""
    found = map(cache.get, cache.keys(kind.name, namespace or None))
    return [raw for raw in found if raw is not None]


def _drop_ghosts(cache: Cache, known: Iterable[Raw], listing: Listing) -> int:
    """Forget what a LIST should show and does not; return how many those were."""
    alive = {raw["metadata"]["uid"] for raw in listing.objects}
    ghosts = [raw for raw in known if raw["metadata"]["uid"] not in alive]
    seen = [raw for raw in ghosts if resource_version(raw) <= listing.version]
    return sum(cache.remove(key_of(raw), raw["metadata"]["uid"]) for raw in seen)
