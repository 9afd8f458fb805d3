"""Says whether a version is committed, is the expected one, and has all its files."""

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, ManifestFile, Tombstone
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys
from modelyard.plan.observed import ManifestFact
from modelyard.store.commit import Commit, read_commit
from modelyard.store.interface import Missing, Store
from modelyard.store.paths import check_paths

SHOWN_PROBLEMS = 3


def verify_manifest(
    store: Store, keys: ModelKeys, version: int, expected_digest: str
) -> ManifestFact:
    """Read the manifest of a version and compare the files' sizes with one listing.

    Args:
        store: Where the version lies.
        keys: Keys of its model.
        version: Its number.
        expected_digest: `sha256:<hex>` of its manifest, or empty to take what stands there.

    Raises:
        Refused: The store itself refuses us, for instance the credentials.
    """
    try:
        commit = read_commit(store, keys, version)
        return _judge(store, keys, version, expected_digest, commit)
    except Retry as retry:
        return ManifestFact("Unreachable", message=str(retry))
    except Refused as refused:
        if refused.reason is not Reason.DIGEST_MISMATCH:
            raise
        return ManifestFact("Mismatch", message=str(refused))


def verify_content(store: Store, keys: ModelKeys, version: int, digest: str) -> ManifestFact:
    """Do what `verify_manifest` does, and read and hash every byte besides."""
    fact = verify_manifest(store, keys, version, digest)
    if fact.state != "Found" or fact.manifest is None:
        return fact
    prefix = keys.artifact(version)
    try:
        problems = [p for f in fact.manifest.files if (p := _content_problem(store, prefix, f))]
    except Retry as retry:
        return ManifestFact("Unreachable", message=str(retry))
    if problems:
        return ManifestFact("Mismatch", fact.manifest, fact.digest, _shown(problems))
    return fact


def _judge(
    store: Store, keys: ModelKeys, version: int, expected: str, commit: Commit | None
) -> ManifestFact:
    place = store.locate(keys.manifest(version))
    if commit is None:
        return ManifestFact("Missing", message=f"{place} does not exist: nothing was committed")
    if isinstance(commit.record, Tombstone):
        message = f"number {version} was given up: {commit.record.reason}"
        return ManifestFact("Tombstone", digest=commit.digest, message=message)
    manifest = commit.record
    problem = _identity_problem(manifest, commit.digest, keys, version, expected)
    if problem:
        return ManifestFact("Mismatch", manifest, commit.digest, f"{place} {problem}")
    missing = _missing_files(store, keys.artifact(version), manifest)
    if missing:
        return ManifestFact("Incomplete", manifest, commit.digest, _shown(missing))
    return ManifestFact("Found", manifest, commit.digest)


def _identity_problem(
    manifest: Manifest, digest: str, keys: ModelKeys, version: int, expected: str
) -> str:
    if expected and digest != expected:
        return f"has digest {digest}, not {expected}: it is not the version that was registered"
    found = (manifest.namespace, manifest.model_name, manifest.version)
    if found != (keys.namespace, keys.model, version):
        return f"speaks of version {found[2]} of {found[0]}/{found[1]}: it was copied there"
    try:
        check_paths(file.path for file in manifest.files)
    except Refused as refused:
        return f"is unsafe: {refused}"
    return ""


def _missing_files(store: Store, prefix: str, manifest: Manifest) -> list[str]:
    sizes = {listed.key: listed.size for listed in store.list_objects(prefix)}
    found = ((file, sizes.get(prefix + file.path)) for file in manifest.files)
    return [_size_problem(file, size) for file, size in found if size != file.size]


def _size_problem(file: ManifestFile, size: int | None) -> str:
    if size is None:
        return f"{file.path} is missing"
    return f"{file.path} has {size} bytes, not {file.size}"


def _content_problem(store: Store, prefix: str, file: ManifestFile) -> str:
    try:
        found = store.sha256_of(prefix + file.path)
    except Missing:
        return f"{file.path} is missing"
    return "" if found == file.sha256 else f"{file.path} has SHA-256 {found}, not {file.sha256}"


def _shown(problems: list[str]) -> str:
    more = len(problems) - SHOWN_PROBLEMS
    return "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
