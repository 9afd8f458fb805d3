"""Slim copies of objects: what no decision reads is not kept in memory.

Run configurations, pod templates and managed fields are the bulk of an object; 500 trainings with
their Jobs would otherwise cost more memory than the whole operator.
"""

import sys
from typing import Any

from modelyard.kube.kinds import ROOT_NAMES, Raw

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

SHARED = 64
"""Longest text in characters that objects share: longer ones are seldom equal."""

KEPT_SPEC = {
    "Job": ("suspend", "parallelism", "completions", "backoffLimit"),
    "Pod": ("nodeName",),
    "Deployment": ("replicas", "selector"),
    "Service": ("selector", "ports", "type"),
    "HTTPRoute": ("parentRefs", "hostnames", "rules"),
    "GRPCRoute": ("parentRefs", "hostnames", "rules"),
}
"""Fields of `spec` that are kept; of our own kinds all are."""

KEPT_META = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "labels",
    "annotations",
    "ownerReferences",
)


def slim(raw: Raw, known: Raw | None = None) -> Raw:
    """Return a copy of `raw` without what no decision reads.

    Args:
        raw: the object; not changed.
        known: an earlier slim copy of it; its spec is shared if it is still the same.
    """
    kind = sys.intern(raw["kind"])
    kept: Raw = {
        "apiVersion": sys.intern(raw["apiVersion"]),
        "kind": kind,
        "metadata": _metadata(raw["metadata"]),
    }
    if "spec" in raw:
        generation = _generation(raw)
        if known and "spec" in known and generation and generation == _generation(known):
            kept["spec"] = known["spec"]
        else:
            kept["spec"] = _spec(kind, raw["spec"])
    if "status" in raw:
        kept["status"] = _interned(raw["status"])
    if "endpoints" in raw:
        kept["endpoints"] = [_endpoint(entry) for entry in raw["endpoints"] or ()]
    return kept


def _endpoint(entry: Raw) -> Raw:
    """Return what tells whether an endpoint is ready, without its addresses."""
    return {"conditions": _interned(entry.get("conditions") or {})}


def _generation(raw: Raw) -> tuple[str, int] | None:
    """Return what changes with every change of the spec; None for kinds that do not count."""
    meta = raw["metadata"]
    return (meta["uid"], meta["generation"]) if meta.get("generation") else None


def _metadata(meta: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {name: _interned(meta[name]) for name in KEPT_META if name in meta}
    if "annotations" in kept:
        kept["annotations"] = {k: v for k, v in kept["annotations"].items() if k != LAST_APPLIED}
    return kept


def _spec(kind: str, spec: dict[str, Any]) -> Any:
    if kind in ROOT_NAMES:
        return _interned(spec)
    return {name: spec[name] for name in KEPT_SPEC.get(kind, ()) if name in spec}


def _interned(value: Any) -> Any:
    """Return a copy whose keys and short texts are shared between all objects."""
    kind = type(value)
    if kind is str:
        return sys.intern(value) if len(value) <= SHARED else value
    if kind is dict:
        return {sys.intern(name): _interned(item) for name, item in value.items()}
    if kind is list:
        return [_interned(item) for item in value]
    return value
