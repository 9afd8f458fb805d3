"""Removes versions and runs, so that a crash at any step leaves work that a second call finishes.

Nothing is deleted before a tombstone stands at the commit key: from then on no publisher can
commit the number, and no reader takes it for a version. Files are deleted by the list in the
manifest or below `<N>/`, never by a bare number, so version 1 and version 10 cannot be confused.
"""

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, Tombstone
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys
from modelyard.store.claims import close_run, decided_numbers
from modelyard.store.commit import Commit, decide, read_commit
from modelyard.store.documents import swap
from modelyard.store.fence import CLOSED, fence_key, raise_fence
from modelyard.store.interface import Store
from modelyard.store.paths import check_paths

KEPT_FOLDERS = frozenset({"logs", "evidence"})
"""Folders below an attempt that outlive the training."""

ATTEMPTS = 5


def remove_version(store: Store, keys: ModelKeys, version: int, manifest_digest: str) -> None:
    """Delete the files of a committed version, leaving a tombstone; repeatable.

    A number that was never committed, or whose files are already gone, is success.

    Raises:
        Refused: The manifest is not the one of `manifest_digest`; nothing was touched.
        Retry: The store did not answer; call again.
    """
    for _ in range(ATTEMPTS):
        commit = read_commit(store, keys, version)
        if commit is None:
            return
        if isinstance(commit.record, Tombstone):
            _finish(store, keys, commit, commit.record)
            return
        _bury(store, keys, commit, commit.record, manifest_digest)
    raise Retry(f"{store.locate(keys.manifest(version))} is contended: try again")


def remove_run(
    store: Store, keys: ModelKeys, training_uid: str, keep_version: int | None = None
) -> None:
    """Delete the checkpoints of a training and what it uploaded; repeatable.

    All its attempts are locked out first. A committed version stays only if it is `keep_version`:
    any other has no owner. The folders `logs` and `evidence` below each attempt stay.

    Raises:
        Retry: The store did not answer; call again.
    """
    raise_fence(store, keys, training_uid, CLOSED)
    version = close_run(store, keys, training_uid)
    if version is not None and version != keep_version:
        _remove_published(store, keys, training_uid, version)
    _remove_run_data(store, keys, training_uid)


def give_up(store: Store, keys: ModelKeys, version: int, reason: str) -> bool:
    """Put a tombstone at an uncommitted number and delete its files.

    Returns:
        False if the number is committed; then nothing was touched.
    """
    commit = decide(store, keys, Tombstone(version=version, reason=reason))
    if isinstance(commit.record, Manifest):
        return False
    _clear(store, keys.artifact(version))
    return True


def sweep_tombstones(store: Store, keys: ModelKeys) -> int:
    """Delete what locked-out publishers still wrote below given-up numbers; return how many.

    A pod on a lost node can write files after its number was given up, though it can never commit
    them. Meant to be called now and then.
    """
    swept = 0
    for version in list(decided_numbers(store, keys)):
        left = list(store.list_keys(keys.artifact(version)))
        commit = read_commit(store, keys, version) if left else None
        if commit and isinstance(commit.record, Tombstone):
            _clear(store, keys.artifact(version))
            swept += len(left)
    return swept


def _remove_published(store: Store, keys: ModelKeys, training_uid: str, version: int) -> None:
    """Remove what a training has under its number, committed or not."""
    if give_up(store, keys, version, "its training was removed before it committed"):
        return
    commit = read_commit(store, keys, version)
    record = commit.record if commit else None
    if commit and isinstance(record, Manifest) and record.source.uid == training_uid:
        remove_version(store, keys, version, commit.digest)


def _bury(store: Store, keys: ModelKeys, commit: Commit, manifest: Manifest, expected: str) -> None:
    """Replace a manifest by a tombstone that lists the files to delete; losing a race is fine."""
    place = store.locate(keys.manifest(manifest.version))
    if commit.digest != expected:
        message = (
            f"{place} has digest {commit.digest}, not {expected}: it is another version than the "
            "one to remove; nothing was deleted"
        )
        raise Refused(Reason.DIGEST_MISMATCH, message)
    tombstone = Tombstone(
        version=manifest.version,
        reason="removed",
        manifest_digest=commit.digest,
        files=tuple(file.path for file in manifest.files),
    )
    swap(store, keys.manifest(manifest.version), tombstone, commit.etag)


def _finish(store: Store, keys: ModelKeys, commit: Commit, tombstone: Tombstone) -> None:
    check_paths(tombstone.files)
    prefix = keys.artifact(tombstone.version)
    # saved_model.pb first: what is half deleted must not look servable.
    for path in sorted(tombstone.files, key=lambda path: (path != "saved_model.pb", path)):
        store.delete(prefix + path)
    if tombstone.files:
        done = tombstone.model_copy(update={"files": ()})
        swap(store, keys.manifest(tombstone.version), done, commit.etag)


def _remove_run_data(store: Store, keys: ModelKeys, training_uid: str) -> None:
    prefix = keys.run_data(training_uid)
    store.abort_uploads(prefix)
    for key in list(store.list_keys(prefix)):
        # <attempt>/<folder>/…
        folder = key.removeprefix(prefix).split("/")[1:2]
        if key != fence_key(keys, training_uid) and not KEPT_FOLDERS.intersection(folder):
            store.delete(key)


def _clear(store: Store, prefix: str) -> None:
    store.abort_uploads(prefix)
    for key in list(store.list_keys(prefix)):
        store.delete(key)
