"""An API server in memory: the semantics that an operator can trip over, and nothing else.

Optimistic concurrency, server-side apply with owners per field, finalizers, graceful deletion of
pods, garbage collection by owner reference, and one ordered log of watch events per kind.
Objects are never changed in place, so that a watcher's copy stays what it was.
`tests/api/test_model_against_apiserver.py` runs the same operations against the real thing.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelyard.api.errors import Refused
from modelyard.api.reasons import Reason
from modelyard.kube.failures import AlreadyExists, Conflict, Missing
from modelyard.kube.kinds import Key, Raw, key_of

Path = tuple[str, ...]
Owner = tuple[str, str]
"""Field manager and operation: an apply never takes back what an update of that name set."""

Hook = Callable[[str, str, Raw | None, Raw | None], None]
"""Told actor, verb, the object before and after, once each write is done."""

IDENTITY = {
    ("apiVersion",),
    ("kind",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "uid"),
}


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Return what stands at the end of every path; lists count as one value."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[Path, Any] = {}
    for name, item in value.items():
        found.update(leaves(item, (*path, name)))
    return {p: v for p, v in found.items() if p not in IDENTITY}


def with_leaf(raw: Raw, path: Path, value: Any) -> Raw:
    """Return a copy that shares everything but the path to the new value."""
    name, *rest = path
    inner = with_leaf(raw.get(name) or {}, tuple(rest), value) if rest else value
    return {**raw, name: inner}


def without_leaf(raw: Raw, path: Path) -> Raw:
    name, *rest = path
    if name not in raw:
        return raw
    if not rest:
        return {key: item for key, item in raw.items() if key != name}
    return {**raw, name: without_leaf(raw[name], tuple(rest))}


@dataclass
class ApiModel:
    """All objects, their field owners, and what watchers will be told."""

    clock: Callable[[], datetime]
    hook: Hook = lambda *_: None
    objects: dict[Key, Raw] = field(default_factory=dict)
    logs: dict[str, list[tuple[str, Raw]]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[Key, dict[Path, set[Owner]]] = field(default_factory=dict)
    revision: int = 0
    uids: int = 0

    def all(self, kind: str) -> list[Raw]:
        return [raw for key, raw in self.objects.items() if key.kind == kind]

    def get(self, key: Key) -> Raw:
        if key not in self.objects:
            raise Missing(f"{key} does not exist", 0)
        return self.objects[key]

    def create(self, actor: str, manifest: Raw, manager: str = "user") -> Raw:
        key = key_of(manifest)
        if key in self.objects:
            raise AlreadyExists(f"{key} exists", 0)
        self.uids += 1
        meta = {
            **manifest["metadata"],
            "uid": f"uid-{self.uids}",
            "generation": 1,
            "creationTimestamp": self.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.owners[key] = {path: {(manager, "Update")} for path in leaves(manifest)}
        return self._store(actor, "create", None, {**manifest, "metadata": meta})

    def apply(self, actor: str, manifest: Raw, manager: str) -> Raw:
        key, owner = key_of(manifest), (manager, "Apply")
        before = self.objects.get(key)
        uid = manifest["metadata"].get("uid")
        if uid and before is None:
            raise Conflict(f"{key} is gone", 0)
        if uid and before is not None and before["metadata"]["uid"] != uid:
            raise Refused(Reason.INVALID_SPEC, "metadata.uid: field is immutable")
        if before is None:
            return self._create_by_apply(actor, manifest, owner)
        wanted, owners = leaves(manifest), self.owners[key]
        owned = {path: set(who) for path, who in owners.items()}
        after = before
        for path in [p for p, who in owners.items() if owner in who and p not in wanted]:
            owners[path].discard(owner)
            if not owners[path]:
                del owners[path]
                after = without_leaf(after, path)
        for path, value in wanted.items():
            known = leaves(after)
            if known.get(path) != value:
                owners[path] = set()
                after = with_leaf(after, path, value)
            owners.setdefault(path, set()).add(owner)
        return self._store(actor, "apply", before, after, touched=owned != owners)

    def apply_status(self, actor: str, seen: Raw, status: Raw) -> Raw:
        before = self._unchanged(seen)
        return self._store(actor, "status", before, {**before, "status": status})

    def set_finalizers(self, actor: str, seen: Raw, finalizers: tuple[str, ...]) -> Raw:
        before = self._unchanged(seen)
        meta = {**before["metadata"], "finalizers": list(finalizers)}
        new = set(finalizers) - set(before["metadata"].get("finalizers") or ())
        if new and meta.get("deletionTimestamp"):
            raise Conflict("no new finalizers can be added if the object is being deleted", 0)
        after = {**before, "metadata": meta}
        if meta.get("deletionTimestamp") and not finalizers:
            return self._remove(actor, before, after)
        return self._store(actor, "finalizers", before, after)

    def change(self, actor: str, key: Key, **parts: Raw) -> Raw:
        """Replace `spec`, `status`, or merge `metadata`, without any precondition."""
        before = self.get(key)
        if "metadata" in parts:
            parts = {**parts, "metadata": {**before["metadata"], **parts["metadata"]}}
        return self._store(actor, "change", before, {**before, **parts})

    def delete(self, actor: str, key: Key, uid: str = "") -> Raw | None:
        """Delete in the background; return the object if it is still there."""
        before = self.get(key)
        meta = before["metadata"]
        if uid and meta["uid"] != uid:
            raise Conflict(f"{key} has another uid", 0)
        if not meta.get("finalizers") and not _graceful(before):
            self._remove(actor, before, before)
            return None
        if meta.get("deletionTimestamp"):
            return before
        stamp = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        marked = {**meta, "deletionTimestamp": stamp, "generation": meta["generation"] + 1}
        after = {**before, "metadata": marked}
        return self._store(actor, "delete", before, after)

    def vanish(self, actor: str, key: Key) -> None:
        """Remove an object at once, as the kubelet does with a stopped pod."""
        before = self.get(key)
        self._remove(actor, before, before)

    def orphans(self) -> list[Key]:
        """Return the objects whose owners are all gone, sorted."""
        alive = {raw["metadata"]["uid"] for raw in self.objects.values()}
        found = []
        for key, raw in self.objects.items():
            owners = raw["metadata"].get("ownerReferences") or []
            going = raw["metadata"].get("deletionTimestamp")
            if owners and not going and all(o["uid"] not in alive for o in owners):
                found.append(key)
        return sorted(found)

    def _create_by_apply(self, actor: str, manifest: Raw, owner: Owner) -> Raw:
        raw = self.create(actor, manifest)
        self.owners[key_of(manifest)] = {path: {owner} for path in leaves(manifest)}
        return raw

    def _unchanged(self, seen: Raw) -> Raw:
        before = self.get(key_of(seen))
        if before["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
            raise Conflict(f"{key_of(seen)} has changed", 0)
        return before

    def _store(
        self, actor: str, verb: str, before: Raw | None, after: Raw, touched: bool = False
    ) -> Raw:
        """Keep a new state; `touched` means that at least its managedFields differ."""
        if before is not None and after == before and not touched:
            return before
        meta = dict(after["metadata"])
        if before is not None and before.get("spec") != after.get("spec"):
            meta["generation"] = before["metadata"]["generation"] + 1
        self.revision += 1
        meta["resourceVersion"] = str(self.revision)
        after = {**after, "metadata": meta}
        self.objects[key_of(after)] = after
        self.logs[after["kind"]].append(("ADDED" if before is None else "MODIFIED", after))
        self.hook(actor, verb, before, after)
        return after

    def _remove(self, actor: str, before: Raw, last: Raw) -> Raw:
        key = key_of(before)
        del self.objects[key]
        del self.owners[key]
        self.revision += 1
        meta = {**last["metadata"], "resourceVersion": str(self.revision)}
        gone = {**last, "metadata": meta}
        self.logs[key.kind].append(("DELETED", gone))
        self.hook(actor, "remove", before, None)
        return gone


def _graceful(raw: Raw) -> bool:
    """Whether a kubelet has to stop it first."""
    if raw["kind"] != "Pod" or not (raw.get("spec") or {}).get("nodeName"):
        return False
    return (raw.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}
