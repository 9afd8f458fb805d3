"""Carry out a plan: finalizer, actions in order, status, Events; stop at the first failure.

Nothing is taken over: an object is changed or deleted only if its owner reference (or, for a
version, its identity) says that it is ours.
"""

from typing import Protocol

from modelyard.api.errors import Refused
from modelyard.api.reasons import Reason
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.events import EventPoster
from modelyard.kube.failures import AlreadyExists, Conflict
from modelyard.kube.kinds import Key, Raw, key_of, kind_of, owner_uids
from modelyard.plan.core import (
    Action,
    Apply,
    Create,
    Delete,
    Plan,
    RemoveArtifact,
    RemoveRun,
)


class Remover(Protocol):
    """Whoever deletes from the store."""

    async def remove(self, action: RemoveArtifact | RemoveRun) -> None:
        """Delete what the action names; repeatable."""


class Executor:
    """Executes plans against the API server and the store."""

    def __init__(self, client: Client, cache: Cache, remover: Remover, events: EventPoster) -> None:
        self._client = client
        self._cache = cache
        self._remover = remover
        self._events = events

    async def execute(self, owner: Raw, plan: Plan, *, answered: bool = False) -> None:
        """Do what the plan says for `owner`.

        Args:
            owner: the object as the plan knows it.
            plan: what to do.
            answered: whether the API server has answered a write to `owner` just now, and `owner`
                is that answer: nobody has to ask whether it is still there.

        Raises:
            Retry: something was in the way; observe and plan again.
            Refused: an object of that name is not ours, or the API server refuses ours.
        """
        if not answered and any(isinstance(action, Create | Apply) for action in plan.actions):
            await self._alive(owner)
        if plan.add_finalizer:
            owner = await self._finalize(owner, add=plan.add_finalizer)
        for action in plan.actions:
            await self._act(action)
        if plan.status is not None:
            owner = self._learn(await self._client.apply_status(owner, plan.status))
        if plan.remove_finalizer:
            owner = await self._finalize(owner, remove=plan.remove_finalizer)
        for event in plan.events:
            self._events.post(owner, event)

    async def _alive(self, owner: Raw) -> None:
        """Ask whether the owner is still there before it gets another child.

        A child that is missing may have gone with its owner: watches of two kinds are in no order,
        and an event may be lost. It would be made again, and collected again, until a sweep.

        Raises:
            Conflict: the owner is gone or going, and the cache knows it now.
        """
        key, uid = key_of(owner), owner["metadata"]["uid"]
        if self._cache.childless(uid):
            return
        found = await self._client.get(kind_of(owner), key.namespace, key.name)
        if found is None or found["metadata"]["uid"] != uid:
            self._cache.remove(key, uid)
            raise Conflict(f"{key} is gone; nothing is made for it any more", 0)
        if _going(self._learn(found)) != _going(owner):
            raise Conflict(f"{key} is being deleted; deciding again", 0)

    async def _finalize(self, owner: Raw, add: str = "", remove: str = "") -> Raw:
        present = tuple(owner["metadata"].get("finalizers") or ())
        wanted = tuple(f for f in present if f != remove)
        if add and add not in wanted:
            wanted = (*wanted, add)
        if wanted == present:
            return owner
        changed = await self._client.set_finalizers(owner, wanted)
        meta = changed["metadata"]
        if meta.get("deletionTimestamp") and not wanted:
            self._cache.remove(key_of(changed), meta["uid"])
            return changed
        return self._learn(changed)

    async def _act(self, action: Action) -> None:
        match action:
            case Create():
                await self._create(action)
            case Apply():
                await self._apply(action)
            case Delete():
                await self._delete(action)
            case _:
                await self._remover.remove(action)

    async def _create(self, action: Create) -> None:
        self._cache.expect_child(action.manifest)
        try:
            self._learn(await self._client.create(action.manifest))
        except AlreadyExists:
            found = await self._live(action.manifest)
            if found is None:
                raise Conflict("It vanished while it was looked at; deciding again", 0) from None
            if not _same(action, found):
                raise _name_conflict(found) from None
            self._learn(found)

    async def _apply(self, action: Apply) -> None:
        self._cache.expect_child(action.manifest)
        key = key_of(action.manifest)
        known = self._cache.get(key)
        if known is None or not _ours(action.manifest, known):
            found = await self._live(action.manifest)
            if found is not None and not _ours(action.manifest, found):
                raise _name_conflict(found)
        self._learn(await self._client.apply(action.manifest, action.field_manager))

    async def _delete(self, action: Delete) -> None:
        kind = kind_of({"kind": action.kind})
        left = await self._client.delete(kind, action.namespace, action.name, action.uid)
        if left is None:
            self._cache.remove(Key(action.kind, action.namespace, action.name), action.uid)
        else:
            self._learn(left)

    async def _live(self, manifest: Raw) -> Raw | None:
        meta = manifest["metadata"]
        return await self._client.get(kind_of(manifest), meta["namespace"], meta["name"])

    def _learn(self, raw: Raw) -> Raw:
        self._cache.put(raw)
        return raw


def _going(raw: Raw) -> bool:
    """Tell whether an object is being deleted."""
    return bool(raw["metadata"].get("deletionTimestamp"))


def _ours(wanted: Raw, found: Raw) -> bool:
    """Whether an existing object has the owner that the wanted one names."""
    return bool(owner_uids(wanted) & owner_uids(found))


def _same(action: Create, found: Raw) -> bool:
    """Whether an existing object is the one that the action would create."""
    if owner_uids(action.manifest) and not _ours(action.manifest, found):
        return False
    return all(_at(action.manifest, path) == _at(found, path) for path in action.identity)


def _at(raw: Raw, path: str) -> object:
    """Return what stands at a dotted path, None if nothing does."""
    value: object = raw
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _name_conflict(found: Raw) -> Refused:
    message = (
        f"A {found['kind']} named {found['metadata']['name']} exists and does not belong to this"
        " object. It was left as it is: delete or rename it, or use another name."
    )
    return Refused(Reason.NAME_CONFLICT, message)
