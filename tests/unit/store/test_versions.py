"""Verification, download and removal of committed versions on a real service."""

import json
from pathlib import Path

import pytest

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, canonical_json, digest_of
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys, StoreSettings
from modelyard.store.client import connect
from modelyard.store.collect import remove_version
from modelyard.store.fetch import fetch_version
from modelyard.store.interface import Store
from modelyard.store.publication import Published, publish
from modelyard.store.verify import verify_content, verify_manifest
from tests.seaweed import Seaweed, free_ports
from tests.unit.store.artifacts import FILES, KEYS, make_draft, make_model
from tests.unit.store.crashing import audit

pytest_plugins = ["tests.plugins.seaweed"]
WEIGHTS = KEYS.artifact(1) + FILES[2]


@pytest.fixture
def store(seaweed: Seaweed, bucket: str) -> Store:
    return seaweed.store(bucket)


@pytest.fixture
def published(store: Store, tmp_path: Path) -> Published:
    return publish(store, KEYS, make_draft(), make_model(tmp_path / "model"))


def fetch(store: Store, published: Published, target: Path) -> Manifest:
    return fetch_version(store, KEYS, published.version, published.manifest_digest, target)


def test_a_whole_version_is_found(store: Store, published: Published) -> None:
    for verify in (verify_manifest, verify_content):
        fact = verify(store, KEYS, 1, published.manifest_digest)
        assert fact.state == "Found"
        assert fact.digest == published.manifest_digest
        assert fact.message == ""
        assert fact.manifest is not None
        assert fact.manifest.source.uid == "uid-a"


def test_nothing_committed_is_missing(store: Store) -> None:
    fact = verify_manifest(store, KEYS, 1, "sha256:" + "0" * 64)
    assert fact.state == "Missing"
    assert "nothing was committed" in fact.message


def test_another_digest_is_a_mismatch(store: Store, published: Published) -> None:
    fact = verify_manifest(store, KEYS, 1, "sha256:" + "0" * 64)
    assert fact.state == "Mismatch"
    assert published.manifest_digest in fact.message


def test_a_missing_file_makes_it_incomplete(store: Store, published: Published) -> None:
    store.delete(WEIGHTS)
    fact = verify_manifest(store, KEYS, 1, published.manifest_digest)
    assert fact.state == "Incomplete"
    assert f"{FILES[2]} is missing" in fact.message


def test_a_truncated_file_makes_it_incomplete(
    store: Store, published: Published, tmp_path: Path
) -> None:
    store.put(WEIGHTS, store.get(WEIGHTS).content[:-1], if_none_match=False)
    fact = verify_manifest(store, KEYS, 1, published.manifest_digest)
    assert fact.state == "Incomplete"
    assert "bytes, not" in fact.message
    with pytest.raises(Refused, match=r"variables\.data"):
        fetch(store, published, tmp_path / "models/1")
    assert not (tmp_path / "models").exists()


def test_corrupted_bytes_of_the_same_size_are_found_by_reading(
    store: Store, published: Published, tmp_path: Path
) -> None:
    content = store.get(WEIGHTS).content
    store.put(WEIGHTS, bytes([content[0] ^ 1]) + content[1:], if_none_match=False)
    assert verify_manifest(store, KEYS, 1, published.manifest_digest).state == "Found"
    fact = verify_content(store, KEYS, 1, published.manifest_digest)
    assert fact.state == "Mismatch"
    assert FILES[2] in fact.message
    with pytest.raises(Refused, match="SHA-256") as refused:
        fetch(store, published, tmp_path / "models/1")
    assert refused.value.reason is Reason.DIGEST_MISMATCH
    assert not (tmp_path / "models/1").exists()


def test_an_unreadable_manifest_is_a_mismatch(store: Store, published: Published) -> None:
    store.put(KEYS.manifest(1), b"not JSON", if_none_match=False)
    fact = verify_manifest(store, KEYS, 1, published.manifest_digest)
    assert fact.state == "Mismatch"
    assert "not a readable Manifest" in fact.message


def test_a_manifest_copied_to_another_model_is_a_mismatch(
    store: Store, published: Published
) -> None:
    other = ModelKeys(KEYS.prefix, KEYS.namespace, "stolen")
    store.put(other.manifest(1), store.get(KEYS.manifest(1)).content)
    fact = verify_manifest(store, other, 1, published.manifest_digest)
    assert fact.state == "Mismatch"
    assert "copied" in fact.message


def test_a_store_that_is_down_is_unreachable(seaweed: Seaweed, bucket: str, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = connect(StoreSettings(endpoint=endpoint, bucket=bucket), seaweed.credentials)
    fact = verify_manifest(store, KEYS, 1, "sha256:" + "0" * 64)
    assert fact.state == "Unreachable"
    assert endpoint in fact.message
    with pytest.raises(Retry, match=endpoint):
        fetch_version(store, KEYS, 1, "sha256:" + "0" * 64, tmp_path / "models/1")


def test_a_fetched_version_equals_what_was_published(
    store: Store, published: Published, tmp_path: Path
) -> None:
    target = tmp_path / "models/1"
    manifest = fetch(store, published, target)
    assert manifest.version == 1
    for name in FILES:
        assert (target / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["1"]
    before = target.stat().st_mtime_ns
    fetch(store, published, target)
    assert target.stat().st_mtime_ns == before


def test_the_remains_of_a_dead_fetcher_do_not_matter(
    store: Store, published: Published, tmp_path: Path
) -> None:
    remains = tmp_path / "models/.1.staging"
    make_model(remains, "half")
    (remains / "foreign").write_text("foreign")
    fetch(store, published, tmp_path / "models/1")
    assert not remains.exists()
    assert not (tmp_path / "models/1/foreign").exists()


def test_a_target_that_holds_something_else_is_not_touched(
    store: Store, published: Published, tmp_path: Path
) -> None:
    target = make_model(tmp_path / "models/1", "other")
    with pytest.raises(Refused, match="something else"):
        fetch(store, published, target)
    assert "other" in (target / FILES[0]).read_text()


@pytest.mark.parametrize("path", ["../../escaped", "/tmp/escaped", "a\\b"])
def test_a_hostile_manifest_writes_nothing(
    store: Store, published: Published, tmp_path: Path, path: str
) -> None:
    document = json.loads(store.get(KEYS.manifest(1)).content)
    document["files"][0]["path"] = path
    content = canonical_json(document)
    store.put(KEYS.manifest(1), content, if_none_match=False)
    with pytest.raises(Refused, match="unsafe"):
        fetch_version(store, KEYS, 1, digest_of(content), tmp_path / "models/1")
    assert not (tmp_path / "models").exists()


def test_removal_deletes_the_listed_files_of_this_version_only(
    store: Store, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model")
    versions = [publish(store, KEYS, make_draft(f"uid-{n}"), folder) for n in range(10)]
    store.put(KEYS.artifact(1) + "not-ours", b"kept")
    remove_version(store, KEYS, 1, versions[0].manifest_digest)
    remove_version(store, KEYS, 1, versions[0].manifest_digest)
    assert list(store.list_keys(KEYS.artifact(1))) == [KEYS.artifact(1) + "not-ours"]
    assert verify_manifest(store, KEYS, 1, "").state == "Tombstone"
    assert verify_content(store, KEYS, 10, versions[9].manifest_digest).state == "Found"
    found = audit(store, KEYS)
    assert found.clean
    assert len(found.committed) == 9


def test_removal_of_another_digest_touches_nothing(store: Store, published: Published) -> None:
    with pytest.raises(Refused, match="nothing was deleted"):
        remove_version(store, KEYS, 1, "sha256:" + "0" * 64)
    assert verify_content(store, KEYS, 1, published.manifest_digest).state == "Found"


def test_removal_of_what_was_never_committed_is_done(store: Store) -> None:
    remove_version(store, KEYS, 1, "sha256:" + "0" * 64)
    assert list(store.list_keys("")) == []
