"""Finds out whether a store keeps the promises that publication rests on.

Some services accept `If-None-Match` and ignore it; two trainers would then overwrite each other
without an error. So the promises are tried once, before the store is trusted.
"""

import hashlib
import uuid
from dataclasses import dataclass

from modelyard.api.errors import Refused
from modelyard.store.interface import Conflict, Damaged, Store


@dataclass(frozen=True, slots=True)
class StoreCapabilities:
    """What a store was seen to do."""

    conditional_create: bool
    """A second `If-None-Match: *` write is refused."""
    conditional_replace: bool
    """An `If-Match` write with an old etag is refused, and one with the right etag works."""
    checks_content: bool
    """A write whose SHA-256 is wrong is refused."""
    lists_after_write: bool
    """A listing shows an object as soon as it is written."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The promises that the store does not keep, in words; empty: it can be trusted."""
        promises = {
            "conditional create (If-None-Match: *)": self.conditional_create,
            "conditional replace (If-Match)": self.conditional_replace,
            "checksum verification (x-amz-checksum-sha256)": self.checks_content,
            "list after write": self.lists_after_write,
        }
        return tuple(words for words, kept in promises.items() if not kept)


def probe_store(store: Store, prefix: str = "") -> StoreCapabilities:
    """Try the promises on fresh keys below `<prefix>_probe/`, and delete them again.

    Raises:
        Refused: The store does not let us write there at all.
        Retry: The store did not answer.
    """
    folder = f"{prefix}_probe/{uuid.uuid4().hex}/"
    try:
        return StoreCapabilities(
            conditional_create=_creates_once(store, folder + "create"),
            conditional_replace=_replaces_expected(store, folder + "replace"),
            checks_content=_notices_damage(store, folder + "damage"),
            lists_after_write=list(store.list_keys(folder + "c")) == [folder + "create"],
        )
    finally:
        for name in ("create", "replace", "damage"):
            store.delete(folder + name)


def _creates_once(store: Store, key: str) -> bool:
    store.put(key, b"first")
    return _conflicts(store, key, None)


def _replaces_expected(store: Store, key: str) -> bool:
    old = store.put(key, b"first")
    try:
        store.put(key, b"second", if_match=old)
    except Conflict:
        return False
    return _conflicts(store, key, old)


def _conflicts(store: Store, key: str, if_match: str | None) -> bool:
    try:
        store.put(key, b"third", if_match=if_match)
    except Conflict:
        return True
    return False


def _notices_damage(store: Store, key: str) -> bool:
    try:
        store.put_announced(key, b"content", hashlib.sha256(b"other").hexdigest())
    except (Damaged, Refused):
        return store.head(key) is None
    return False
