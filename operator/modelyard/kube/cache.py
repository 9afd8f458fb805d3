"""What the operator knows of the cluster: slim copies of watched objects, newest version wins.

Watch events and the answers to our own writes both end up here, so that the next plan sees what
the last one did (read your writes); an event older than what is known changes nothing.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.kinds import ROOT_NAMES, Key, Raw, key_of, owner_uids, resource_version
from modelyard.kube.slim import slim

REMEMBERED_DEAD = 20_000

References = Callable[[Raw], Iterable[Key]]
"""Names the objects that an object of ours refers to by name."""

Listener = Callable[[Key, Raw], None]
"""Told the key and the last known content of whatever appeared, changed, or vanished."""


class Cache:
    """Watched objects by key, children by owner, and who refers to whom."""

    def __init__(self, references: References = lambda _: ()) -> None:
        self._references = references
        self._objects: dict[Key, Raw] = {}
        self._places: dict[tuple[str, str], set[Key]] = defaultdict(set)
        self._children: dict[str, set[Key]] = defaultdict(set)
        self._referrers: dict[Key, set[Key]] = defaultdict(set)
        self._roots: dict[str, Key] = {}
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._parents: set[str] = set()
        self._leads = False
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every later change."""
        self._listeners.append(listener)

    def get(self, key: Key) -> Raw | None:
        """Return the object, or None if it is not known."""
        return self._objects.get(key)

    def keys(self, kind: str, namespace: str | None = None) -> list[Key]:
        """Return the keys of one kind, of all namespaces if None."""
        if namespace is not None:
            return sorted(self._places.get((kind, namespace), ()))
        return [key for (name, _), keys in self._places.items() if name == kind for key in keys]

    def objects(self, kind: str) -> list[Raw]:
        """Return all objects of a kind."""
        return [self._objects[key] for key in self.keys(kind)]

    def children(self, uid: str, kind: str) -> list[Raw]:
        """Return the objects of a kind that are labelled with the owner's uid, sorted by name."""
        keys = sorted(key for key in self._children.get(uid, ()) if key.kind == kind)
        return [self._objects[key] for key in keys]

    def expect_child(self, manifest: Raw) -> None:
        """Note that a child may exist from now on, even if the answer to its creation gets lost."""
        self._note_parent(owner_label(manifest))

    def lead(self) -> None:
        """Note that everything was read under our Lease: what appears from now on is new."""
        self._leads = True

    def childless(self, uid: str) -> bool:
        """Tell whether an owner certainly never had a child, so that no LIST could show one.

        Whoever appeared after `lead` has only the children that we made. Any other owner may have
        had one that is gone, and a controller that has not seen it go still makes pods for it.
        """
        return uid not in self._parents

    def referrers(self, key: Key) -> list[Key]:
        """Return the keys of the objects that refer to `key`, sorted."""
        return sorted(self._referrers.get(key, ()))

    def references(self, raw: Raw) -> set[Key]:
        """Return the keys that an object refers to."""
        return set(self._references(raw))

    def root(self, uid: str) -> Key | None:
        """Return the key of one of our own objects by its uid."""
        return self._roots.get(uid)

    def put(self, raw: Raw) -> bool:
        """Take in an object unless a newer version of it is known, or its death.

        Returns:
            Whether it was news.
        """
        key, uid = key_of(raw), raw["metadata"]["uid"]
        known = self._objects.get(key)
        if uid in self._dead or (known and resource_version(known) >= resource_version(raw)):
            return False
        if key.kind in ROOT_NAMES and uid not in self._roots and not self._leads:
            self._note_parent(uid)
        if known:
            self._unlink(key, known)
        kept = slim(raw, known)
        self._objects[key] = kept
        self._link(key, kept)
        self._tell(key, kept, known)
        return True

    def remove(self, key: Key, uid: str) -> bool:
        """Forget the object of that uid; older events about it will not bring it back.

        Returns:
            Whether it was known.
        """
        self._bury(uid)
        known = self._objects.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return False
        del self._objects[key]
        self._unlink(key, known)
        self._tell(key, known, None)
        return True

    def _bury(self, uid: str) -> None:
        self._dead[uid] = None
        self._dead.move_to_end(uid)
        self._parents.discard(uid)
        if len(self._dead) > REMEMBERED_DEAD:
            self._dead.popitem(last=False)

    def _link(self, key: Key, raw: Raw) -> None:
        self._places[key.kind, key.namespace].add(key)
        if key.kind in ROOT_NAMES:
            self._roots[raw["metadata"]["uid"]] = key
            for target in self._references(raw):
                self._referrers[target].add(key)
        elif uid := owner_label(raw):
            self._children[uid].add(key)
            self._note_parent(uid)

    def _note_parent(self, uid: str) -> None:
        if uid and uid not in self._dead:
            self._parents.add(uid)

    def _unlink(self, key: Key, raw: Raw) -> None:
        _discard(self._places, (key.kind, key.namespace), key)
        if key.kind in ROOT_NAMES:
            self._roots.pop(raw["metadata"]["uid"], None)
            for target in self._references(raw):
                _discard(self._referrers, target, key)
        elif uid := owner_label(raw):
            _discard(self._children, uid, key)

    def _tell(self, key: Key, raw: Raw, before: Raw | None) -> None:
        for listener in self._listeners:
            if before is not None and before is not raw:
                listener(key, before)
            listener(key, raw)


def owner_label(raw: Raw) -> str:
    """Return the uid that an object's owner label names, empty if it has none."""
    return str((raw["metadata"].get("labels") or {}).get(LABEL_OWNER_UID, ""))


def owned_by(raw: Raw, uid: str) -> bool:
    """Tell whether an object really belongs to the owner of that uid: a label alone is not proof.

    Kubernetes checks owner references when it collects garbage, and nobody checks labels.
    """
    return uid in owner_uids(raw)


def _discard(index: dict[Any, set[Key]], name: Any, key: Key) -> None:
    """Take a key out of an index and drop the entry once it is empty."""
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]
