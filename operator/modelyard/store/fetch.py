"""Downloads a version for a server: staged, checked file by file, then renamed into place.

A server that watches the parent directory sees either nothing or the whole, verified version:
names that are no number are ignored by TF-Serving, so the staging directory is invisible to it.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, ManifestFile
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys
from modelyard.plan.observed import ManifestFact
from modelyard.store.interface import Missing, Store
from modelyard.store.paths import inventory
from modelyard.store.verify import verify_manifest

WORKERS = 4
REASONS = {
    "Missing": Reason.MANIFEST_MISSING,
    "Tombstone": Reason.MANIFEST_MISSING,
    "Incomplete": Reason.MANIFEST_MISSING,
    "Mismatch": Reason.DIGEST_MISMATCH,
}


def fetch_version(
    store: Store, keys: ModelKeys, version: int, manifest_digest: str, target: Path
) -> Manifest:
    """Bring a version to the directory `target` and return its manifest.

    A `target` that already holds exactly this version is left alone; the remains of an earlier
    call that died are removed.

    Args:
        store: Where the version lies.
        keys: Keys of its model.
        version: Its number.
        manifest_digest: Its identity; nothing else is accepted.
        target: Directory to make, for instance `/models/<model>/<N>`; its parent may be missing.

    Raises:
        Refused: The version is not there, not whole, or not the expected one; or `target` holds
            something else. `target` was not touched.
        Retry: The store did not answer.
    """
    manifest = _checked(verify_manifest(store, keys, version, manifest_digest))
    if target.exists():
        _require_equal(target, manifest)
        return manifest
    staging = target.parent / f".{target.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    _download(store, keys.artifact(version), manifest, staging)
    staging.rename(target)
    return manifest


def _checked(fact: ManifestFact) -> Manifest:
    if fact.state == "Unreachable":
        raise Retry(fact.message)
    if fact.state != "Found" or fact.manifest is None:
        raise Refused(REASONS[fact.state], f"the version cannot be fetched: {fact.message}")
    return fact.manifest


def _require_equal(target: Path, manifest: Manifest) -> None:
    present = tuple(file.entry for file in inventory(target))
    if present != tuple(sorted(manifest.files, key=lambda file: file.path)):
        message = f"{target} holds something else than version {manifest.version}: remove it"
        raise Refused(Reason.DIGEST_MISMATCH, message)


def _download(store: Store, prefix: str, manifest: Manifest, staging: Path) -> None:
    with ThreadPoolExecutor(WORKERS, "fetch") as pool:
        futures = [pool.submit(_fetch_one, store, prefix, f, staging) for f in manifest.files]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch_one(store: Store, prefix: str, file: ManifestFile, staging: Path) -> None:
    path = staging / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = store.download_file(prefix + file.path, path)
    except Missing as missing:
        raise Refused(Reason.MANIFEST_MISSING, f"{missing}: the version was removed") from missing
    if found != file.sha256:
        message = (
            f"{store.locate(prefix + file.path)} has SHA-256 {found}, not {file.sha256}: "
            "the object was damaged or replaced; train or publish again"
        )
        raise Refused(Reason.DIGEST_MISMATCH, message)
