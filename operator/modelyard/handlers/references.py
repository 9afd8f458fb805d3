"""Which objects concern which others: what must be looked at again when something changes."""

from collections.abc import Iterator

from modelyard.kube.cache import Cache, owner_label
from modelyard.kube.kinds import MODEL_DEPLOYMENT, MODEL_VERSION, ROOT_NAMES, Key, Raw, key_of


def references(raw: Raw) -> Iterator[Key]:
    """Yield the versions that a deployment names, serves, loads, or keeps warm."""
    if raw["kind"] != MODEL_DEPLOYMENT.name:
        return
    namespace = raw["metadata"]["namespace"]
    status = raw.get("status") or {}
    warm = (status.get("warm") or {}).get("version") or {}
    roles = [raw.get("spec") or {}, status.get("stable") or {}, status.get("canary") or {}, warm]
    for name in {role.get("modelVersionName") for role in roles} - {None}:
        yield Key(MODEL_VERSION.name, namespace, str(name))


def affected(cache: Cache, key: Key, raw: Raw) -> Iterator[Key]:
    """Yield the keys to reconcile after `raw` appeared, changed, or vanished."""
    if key.kind not in ROOT_NAMES:
        owner = cache.root(owner_label(raw))
        if owner is not None:
            yield owner
        return
    yield key
    yield from references(raw)
    if key.kind == MODEL_VERSION.name:
        yield from cache.referrers(key)
        training = _training_of(cache, raw)
        if training is not None:
            yield training


def _training_of(cache: Cache, version: Raw) -> Key | None:
    """Return the training that published a version, if it still exists."""
    source = (version.get("spec") or {}).get("source") or {}
    return cache.root((source.get("training") or {}).get("uid", ""))


def users_of(cache: Cache, version: Raw) -> tuple[str, ...]:
    """Return the names of the deployments that name, serve, or load a version."""
    return tuple(sorted({key.name for key in cache.referrers(key_of(version))}))
