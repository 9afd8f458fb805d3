"""Fill the cache from LISTs, and drop what a watch gap hid.

kopf never says that an object vanished while a watch was broken, so the truth about absence comes
from a LIST, never from events.
"""

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.kinds import CHILDREN, ROOTS, Key, Kind
from modelyard.kube.metrics import LoopMetrics

Namespaces = tuple[str, ...]


async def fill(client: Client, cache: Cache, namespaces: Namespaces) -> None:
    """Bring the cache up to date with the API server, children before their owners."""
    for kind in (*CHILDREN, *ROOTS):
        for namespace in namespaces or ("",):
            alive = set()
            for raw in await client.list_objects(kind, namespace, _label(kind)):
                raw.setdefault("kind", kind.name)
                raw.setdefault("apiVersion", kind.api_version)
                cache.put(raw)
                alive.add(raw["metadata"]["uid"])
            _drop_ghosts(cache, kind, namespace, alive)


async def sweep(client: Client, cache: Cache, namespaces: Namespaces, metrics: LoopMetrics) -> None:
    """Drop cached objects that no longer exist; reads metadata only."""
    for kind in (*CHILDREN, *ROOTS):
        for namespace in namespaces or ("",):
            before = _cached(cache, kind, namespace)
            listed = await client.list_metadata(kind, namespace, _label(kind))
            alive = {raw["metadata"]["uid"] for raw in listed}
            dropped = [
                key for key, uid in before.items() if uid not in alive and cache.remove(key, uid)
            ]
            metrics.ghosts.inc(len(dropped))


def _label(kind: Kind) -> str:
    return LABEL_OWNER_UID if kind in CHILDREN else ""


def _cached(cache: Cache, kind: Kind, namespace: str) -> dict[Key, str]:
    """Return the cached uids of a kind, of all namespaces if none is named."""
    keys = cache.keys(kind.name, namespace or None)
    found = {key: cache.get(key) for key in keys}
    return {key: raw["metadata"]["uid"] for key, raw in found.items() if raw}


def _drop_ghosts(cache: Cache, kind: Kind, namespace: str, alive: set[str]) -> None:
    for key, uid in _cached(cache, kind, namespace).items():
        if uid not in alive:
            cache.remove(key, uid)
