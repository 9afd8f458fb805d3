"""The commit key of a version: empty, then a manifest or a tombstone, and a tombstone for ever.

One conditional PUT decides between a publisher and whoever gives the number up; the loser reads
what stands there.
"""

import json
from dataclasses import dataclass

from modelyard.api.errors import Retry
from modelyard.api.manifest import (
    Manifest,
    Tombstone,
    digest_of,
)
from modelyard.api.store import ModelKeys
from modelyard.store.documents import decode, encode
from modelyard.store.interface import Conflict, Missing, Store


@dataclass(frozen=True, slots=True)
class Commit:
    """What stands at the commit key."""

    record: Manifest | Tombstone
    digest: str
    """SHA-256 of its bytes; of a manifest: the identity of the version."""
    etag: str


def read_commit(store: Store, keys: ModelKeys, version: int) -> Commit | None:
    """Return what stands at the commit key, or None while the number is open.

    Raises:
        Refused: Something stands there that is neither manifest nor tombstone.
    """
    key = keys.manifest(version)
    try:
        fetched = store.get(key)
    except Missing:
        return None
    record = _record(fetched.content, store.locate(key))
    return Commit(record, digest_of(fetched.content), fetched.etag)


def decide(store: Store, keys: ModelKeys, record: Manifest | Tombstone) -> Commit:
    """Write `record` if the number is open; return what stands there afterwards."""
    content = encode(record)
    try:
        etag = store.put(keys.manifest(record.version), content)
    except Conflict as conflict:
        standing = read_commit(store, keys, record.version)
        if standing is None:
            raise Retry(f"{conflict}, and yet nothing stands there") from conflict
        return standing
    return Commit(record, digest_of(content), etag)


def _record(content: bytes, place: str) -> Manifest | Tombstone:
    if _schema(content) == Tombstone.model_fields["schema_id"].default:
        return decode(Tombstone, content, place)
    return decode(Manifest, content, place)


def _schema(content: bytes) -> object:
    try:
        document = json.loads(content)
    except ValueError:  # decoding as a manifest will say what is wrong
        return None
    return document.get("schema") if isinstance(document, dict) else None
