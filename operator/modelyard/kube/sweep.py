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
            before = _cached(cache, kind, namespace)  # what is made during the LIST is no ghost
            alive = set()
            for raw in await client.list_objects(kind, namespace, _label(kind)):
                raw.setdefault("kind", kind.name)
                raw.setdefault("apiVersion", kind.api_version)
                cache.put(raw)
                alive.add(raw["metadata"]["uid"])
            _drop_ghosts(cache, before, alive)


async def sweep(client: Client, cache: Cache, namespaces: Namespaces, metrics: LoopMetrics) -> None:
    """Drop cached objects that no longer exist; reads metadata only."""
    for kind in (*CHILDREN, *ROOTS):
        for namespace in namespaces or ("",):
            before = _cached(cache, kind, namespace)
            listed = await client.list_metadata(kind, namespace, _label(kind))
            alive = {raw["metadata"]["uid"] for raw in listed}
            metrics.ghosts.inc(_drop_ghosts(cache, before, alive))


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
