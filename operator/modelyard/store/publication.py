"""Publishes a version so that it is either whole and committed, or not there at all.

    walk and hash ─► number ─► files, saved_model.pb last ─► manifest (one conditional PUT)
                     claims/N    N/…                         manifests/N.json = the commit

Every write creates an object and none overwrites one, so each step may be repeated: what is
already there and equal counts as done. A crash at any point is repaired by calling `publish` again
with the same training; a committed training always gets the version it has, whatever it brings.

**Other bytes under the same number.** An attempt that died may have left files below `N/`, and the
next attempt's files rarely equal them bit by bit. Overwriting them would be safe only if the dead
attempt were certainly dead, which nobody can know of a pod on a lost node: it could commit a
manifest over files that are no longer its own. So the number is given up instead: a tombstone is
put at its commit key (if the old attempt committed first, its version is the training's version),
then the training gets a new number. Two attempts never share files; the price is a gap in the
numbers. The tombstone names the attempt that moved, so an older one that meets it stops.

**Removal** uses the same commit key: whoever puts a tombstone there first has locked the publisher
out, and it stops with Refused.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, ManifestDraft, Tombstone
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys
from modelyard.api.version import TrainingSource
from modelyard.store.claims import move_on, number_for
from modelyard.store.commit import Commit, decide, read_commit
from modelyard.store.fence import check_fence, locked_out
from modelyard.store.interface import Conflict, Store
from modelyard.store.paths import LocalFile, inventory

MOVES = 20
"""Numbers that one call gives up before it asks to be called again."""

SMALL_FILE_BYTES = 8 * 1024 * 1024
"""Larger files are sent in parts, already several at once."""

WORKERS = 4
LAST_FILE = "saved_model.pb"
"""Without it no reader takes a directory for a SavedModel."""


@dataclass(frozen=True, slots=True)
class Published:
    """A committed version."""

    version: int
    manifest_digest: str
    """`sha256:<hex>` of the manifest: the identity of the version."""


def publish(store: Store, keys: ModelKeys, draft: ManifestDraft, directory: Path) -> Published:
    """Publish the files below `directory` as a version and return its number and digest.

    Args:
        store: Where to.
        keys: Keys of the draft's model.
        draft: What the version is; `draft.source` says which training and attempt publishes.
        directory: A SavedModel; regular files only.

    Raises:
        Refused: A path cannot be published, or the attempt was locked out.
        Retry: The store did not answer; call again.
    """
    files = inventory(directory)
    for _ in range(MOVES):
        check_fence(store, keys, draft.source.uid, draft.source.attempt)
        version = number_for(store, keys, draft.source)
        published = _publish_as(store, keys, _manifest(draft, version, files), files)
        if published:
            return published
        _sweep(store, keys.artifact(version))
        move_on(store, keys, draft.source, version)
    raise Retry(f"{store.locate(keys.root)}: number after number was taken away; publish again")


def _manifest(draft: ManifestDraft, version: int, files: tuple[LocalFile, ...]) -> Manifest:
    entries = tuple(file.entry for file in files)
    return Manifest(**dict(draft), version=version, files=entries)


def _publish_as(
    store: Store, keys: ModelKeys, manifest: Manifest, files: tuple[LocalFile, ...]
) -> Published | None:
    """Publish under the manifest's number; None if the training needs another one."""
    source = manifest.source
    standing = read_commit(store, keys, manifest.version)
    if standing:
        return _settled(standing, source)
    prefix = keys.artifact(manifest.version)
    try:
        _upload(store, prefix, files)
    except Conflict as conflict:
        cause = f"attempt {source.attempt} found other files: {conflict}"[:1000]
        given_up = Tombstone(version=manifest.version, reason=cause, superseded_by=source.attempt)
        return _settled(decide(store, keys, given_up), source)
    check_fence(store, keys, source.uid, source.attempt)
    return _settled(decide(store, keys, manifest), source)


def _settled(standing: Commit, source: TrainingSource) -> Published | None:
    """Return the training's version if that is what stands there; None: take another number.

    Raises:
        Refused: The number was given up, or is another training's.
    """
    match standing.record:
        case Manifest() as manifest if manifest.source.uid == source.uid:
            return Published(manifest.version, standing.digest)
        case Manifest() as manifest:
            message = (
                f"number {manifest.version} of {manifest.model_name} is committed by training "
                f"{manifest.source.name}: the registry was changed by hand; restore its pointers"
            )
            raise Refused(Reason.NAME_CONFLICT, message)
        case Tombstone(superseded_by=int(attempt)) if attempt <= source.attempt:
            return None
        case Tombstone(superseded_by=int(attempt)):
            raise locked_out(source.uid, source.attempt, attempt)
        case Tombstone() as tombstone:
            message = f"number {tombstone.version} was given up: {tombstone.reason}; train again"
            raise Refused(Reason.REJECTED, message)


def _upload(store: Store, prefix: str, files: tuple[LocalFile, ...]) -> None:
    body = [file for file in files if file.entry.path != LAST_FILE]
    small = [file for file in body if file.entry.size <= SMALL_FILE_BYTES]
    with ThreadPoolExecutor(WORKERS, "publish") as pool:
        futures = [pool.submit(_upload_one, store, prefix, file) for file in small]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    for file in (*(f for f in body if f.entry.size > SMALL_FILE_BYTES), *_last(files)):
        _upload_one(store, prefix, file)


def _last(files: tuple[LocalFile, ...]) -> list[LocalFile]:
    return [file for file in files if file.entry.path == LAST_FILE]


def _upload_one(store: Store, prefix: str, file: LocalFile) -> None:
    store.upload_file(prefix + file.entry.path, file.path, file.entry.sha256)


def _sweep(store: Store, prefix: str) -> None:
    """Delete what lies below a number that can never be committed."""
    store.abort_uploads(prefix)
    for key in list(store.list_keys(prefix)):
        store.delete(key)
