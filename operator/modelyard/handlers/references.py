"""Which objects concern which others: what must be looked at again when something changes."""

from collections.abc import Iterator

from modelyard.kube.cache import Cache, owner_label
from modelyard.kube.kinds import MODEL_DEPLOYMENT, MODEL_VERSION, ROOT_NAMES, Key, Raw, key_of
from modelyard.plan.claims import claims_of
from modelyard.plan.parse import Unreadable, parse_deployment
from modelyard.plan.route import Claim

HOST = "Host"
"""Stands for a host name at a Gateway: no object, but deployments refer to it."""


def references(raw: Raw) -> Iterator[Key]:
    """Yield the versions that a deployment names, serves, loads, or keeps warm, and its hosts."""
    if raw["kind"] != MODEL_DEPLOYMENT.name:
        return
    namespace = raw["metadata"]["namespace"]
    status = raw.get("status") or {}
    warm = (status.get("warm") or {}).get("version") or {}
    roles = [raw.get("spec") or {}, status.get("stable") or {}, status.get("canary") or {}, warm]
    for name in {role.get("modelVersionName") for role in roles} - {None}:
        yield Key(MODEL_VERSION.name, namespace, str(name))
    for claim in _claims(raw):
        yield Key(HOST, claim.parent.namespace or "", f"{claim.parent.name}/{claim.hostname}")


def _claims(deployment: Raw) -> tuple[Claim, ...]:
    """Return the hosts that a deployment wants; one that cannot be read gets none."""
    if not ((deployment.get("spec") or {}).get("traffic") or {}).get("gateway"):
        return ()
    parsed = parse_deployment(deployment)
    return () if isinstance(parsed, Unreadable) else tuple(claims_of(parsed))


def rivals_of(cache: Cache, deployment: Raw) -> tuple[Claim, ...]:
    """Return what other deployments want of the hosts that this one wants."""
    hosts = [key for key in cache.references(deployment) if key.kind == HOST]
    rivals = {rival for host in hosts for rival in cache.referrers(host)} - {key_of(deployment)}
    found = (cache.get(rival) for rival in sorted(rivals))
    return tuple(claim for raw in found if raw is not None for claim in _claims(raw))


def affected(cache: Cache, key: Key, raw: Raw) -> Iterator[Key]:
    """Yield the keys to reconcile after `raw` appeared, changed, or vanished."""
    if key.kind not in ROOT_NAMES:
        owner = cache.root(owner_label(raw))
        if owner is not None:
            yield owner
        return
    yield key
    for reference in references(raw):
        yield from cache.referrers(reference) if reference.kind == HOST else (reference,)
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
