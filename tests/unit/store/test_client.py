"""The S3 client against a real service: conditions, parts, broken connections, refusals."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.api.store import LocalStoreSettings, StoreSettings
from modelyard.store.client import S3Store, connect
from modelyard.store.credentials import Credentials
from modelyard.store.folder import FolderStore
from modelyard.store.interface import Conflict, Damaged, Listed, Missing, Store
from modelyard.store.multipart import MIB, Transfer
from tests.seaweed import Seaweed, free_ports
from tests.unit.store.wire import wire_to

pytest_plugins = ["tests.plugins.seaweed"]


@pytest.fixture
def s3(seaweed: Seaweed, bucket: str) -> S3Store:
    return seaweed.store(bucket)


@pytest.fixture(params=["s3", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both stores keep the same promises."""
    if request.param == "folder":
        return FolderStore(tmp_path / "store", "local")
    s3: S3Store = request.getfixturevalue("s3")
    return s3


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_file(path: Path, size: int) -> tuple[Path, str]:
    content = os.urandom(size)
    path.write_bytes(content)
    return path, sha256(content)


def test_a_put_creates_once(store: Store) -> None:
    etag = store.put("a/b", b"first")
    with pytest.raises(Conflict):
        store.put("a/b", b"second")
    assert store.get("a/b").content == b"first"
    assert store.get("a/b").etag == etag


def test_a_swap_needs_the_etag_of_what_stands_there(store: Store) -> None:
    old = store.put("a", b"first")
    new = store.put("a", b"second", if_match=old)
    with pytest.raises(Conflict):
        store.put("a", b"third", if_match=old)
    assert store.get("a").content == b"second"
    assert store.get("a").etag == new
    with pytest.raises(Conflict):
        store.put("nothing", b"third", if_match=old)
    assert store.head("nothing") is None


def test_an_unconditional_put_overwrites(store: Store) -> None:
    store.put("a", b"first")
    store.put("a", b"second", if_none_match=False)
    assert store.get("a").content == b"second"


def test_of_racing_creators_one_wins(store: Store) -> None:
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        barrier.wait(30)
        try:
            store.put("race", str(number).encode())
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        winners = [n for n, won in enumerate(pool.map(create, range(8))) if won]
    assert len(winners) == 1
    assert store.get("race").content == str(winners[0]).encode()


def test_what_is_not_there(store: Store) -> None:
    with pytest.raises(Missing, match="nothing"):
        store.get("nothing")
    with pytest.raises(Missing):
        store.sha256_of("nothing")
    assert store.head("nothing") is None
    store.delete("nothing")
    assert list(store.list_keys("nothing/")) == []


def test_a_listing_is_sorted_and_sees_every_write(store: Store) -> None:
    for key in ("m/10/a", "m/1/b", "m/1/a", "n"):
        store.put(key, key.encode())
    assert list(store.list_keys("m/1/")) == ["m/1/a", "m/1/b"]
    assert list(store.list_objects("m/10/")) == [Listed("m/10/a", 6)]
    store.delete("m/1/a")
    assert list(store.list_keys("")) == ["m/1/b", "m/10/a", "n"]


def test_a_listing_goes_on_after_a_thousand_keys(s3: S3Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put(f"many/{n:04}", b"x"), range(1005)))
    assert sum(1 for _ in s3.list_keys("many/")) == 1005


def test_an_empty_file_travels(store: Store, tmp_path: Path) -> None:
    path, digest = make_file(tmp_path / "empty", 0)
    store.upload_file("empty", path, digest)
    assert store.head("empty") == 0
    assert store.download_file("empty", tmp_path / "copy") == digest
    assert (tmp_path / "copy").read_bytes() == b""


@pytest.mark.parametrize("size", [100, 5 * MIB, 12 * MIB + 17])
def test_an_uploaded_file_comes_back(store: Store, tmp_path: Path, size: int) -> None:
    store = in_small_parts(store)
    path, digest = make_file(tmp_path / "file", size)
    store.upload_file("key", path, digest)
    assert store.head("key") == size
    assert store.download_file("key", tmp_path / "copy") == digest
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def in_small_parts(store: Store) -> Store:
    return replace(store, transfer=Transfer(5 * MIB, 2)) if isinstance(store, S3Store) else store


@pytest.mark.parametrize("size", [100, 6 * MIB])
def test_an_equal_upload_is_done_already_and_another_is_refused(
    store: Store, tmp_path: Path, size: int
) -> None:
    store = in_small_parts(store)
    path, digest = make_file(tmp_path / "file", size)
    other, other_digest = make_file(tmp_path / "other", size)
    store.upload_file("key", path, digest)
    store.upload_file("key", path, digest)
    with pytest.raises(Conflict):
        store.upload_file("key", other, other_digest)
    assert store.sha256_of("key") == digest


def test_an_object_without_a_record_is_read_to_be_compared(
    seaweed: Seaweed, s3: S3Store, tmp_path: Path
) -> None:
    path, digest = make_file(tmp_path / "file", 100)
    seaweed.client.put_object(Bucket=s3.bucket, Key="key", Body=path.read_bytes())
    s3.upload_file("key", path, digest)
    seaweed.client.put_object(Bucket=s3.bucket, Key="other", Body=b"other")
    with pytest.raises(Conflict):
        s3.upload_file("other", path, digest)


@pytest.mark.parametrize("size", [100, 6 * MIB])
def test_a_file_that_changes_under_way_is_not_stored(
    store: Store, tmp_path: Path, size: int
) -> None:
    store = in_small_parts(store)
    path, _ = make_file(tmp_path / "file", size)
    with pytest.raises(Damaged, match="changed"):
        store.upload_file("key", path, sha256(b"before"))
    assert store.head("key") is None
    assert no_uploads(store)


def no_uploads(store: Store) -> bool:
    if not isinstance(store, S3Store):
        return True
    return "Uploads" not in store.client.list_multipart_uploads(Bucket=store.bucket)


def test_a_refused_upload_leaves_no_parts(s3: S3Store, tmp_path: Path) -> None:
    small = in_small_parts(s3)
    s3.put("key", b"other")
    path, digest = make_file(tmp_path / "file", 6 * MIB)
    with pytest.raises(Conflict):
        small.upload_file("key", path, digest)
    assert no_uploads(s3)


def test_parts_of_a_dead_uploader_can_be_dropped(s3: S3Store) -> None:
    for key in ("m/1/big", "m/10/big"):
        s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    s3.abort_uploads("m/1/")
    left = s3.client.list_multipart_uploads(Bucket=s3.bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["m/10/big"]


def test_a_broken_download_goes_on_where_it_stopped(
    seaweed: Seaweed, s3: S3Store, tmp_path: Path
) -> None:
    path, digest = make_file(tmp_path / "file", 6 * MIB)
    s3.upload_file("key", path, digest)
    with wire_to(seaweed.endpoint, cuts=3) as wire:
        wired = connect(
            StoreSettings(endpoint=wire.endpoint, bucket=s3.bucket), seaweed.credentials
        )
        assert wired.download_file("key", tmp_path / "copy") == digest
        assert wire.cut == 3


def test_a_download_that_breaks_for_ever_is_given_up(
    seaweed: Seaweed, s3: S3Store, tmp_path: Path
) -> None:
    path, digest = make_file(tmp_path / "file", 6 * MIB)
    s3.upload_file("key", path, digest)
    with wire_to(seaweed.endpoint, cuts=100) as wire:
        settings = StoreSettings(endpoint=wire.endpoint, bucket=s3.bucket)
        with pytest.raises(Retry, match=wire.endpoint):
            connect(settings, seaweed.credentials).download_file("key", tmp_path / "copy")


CALLS: dict[str, Any] = {
    "get": lambda store: store.get("key"),
    "put": lambda store: store.put("key", b"content"),
    "head": lambda store: store.head("key"),
    "list": lambda store: list(store.list_keys("prefix/")),
    "delete": lambda store: store.delete("key"),
    "stream": lambda store: list(store.stream("key")),
}


@pytest.mark.parametrize("call", ["get", "list"])
def test_a_store_that_is_down_asks_to_retry_and_names_itself(
    seaweed: Seaweed, bucket: str, call: str
) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = connect(StoreSettings(endpoint=endpoint, bucket=bucket), seaweed.credentials)
    with pytest.raises(Retry, match=endpoint):
        CALLS[call](store)


@pytest.mark.parametrize("call", CALLS)
def test_wrong_keys_are_refused_with_a_remedy(seaweed: Seaweed, bucket: str, call: str) -> None:
    wrong = Credentials(seaweed.credentials.access_key, "wrong")
    store = connect(seaweed.settings(bucket), wrong)
    with pytest.raises(Refused, match=bucket) as refused:
        CALLS[call](store)
    assert refused.value.reason is Reason.FORBIDDEN
    # A HEAD has no body, so the service cannot say more than 403.
    assert ("Secret" if call != "head" else "access denied") in str(refused.value)


def test_an_identity_without_the_right_is_refused(seaweed: Seaweed, s3: S3Store) -> None:
    s3.put("key", b"content")
    reader = connect(seaweed.settings(s3.bucket), seaweed.reader)
    assert reader.get("key").content == b"content"
    with pytest.raises(Refused, match="AccessDenied") as refused:
        reader.put("other", b"content")
    assert refused.value.reason is Reason.FORBIDDEN


@pytest.mark.parametrize("call", ["get", "put", "list"])
def test_a_missing_bucket_is_refused(seaweed: Seaweed, call: str) -> None:
    store = connect(seaweed.settings("no-such-bucket"), seaweed.credentials)
    with pytest.raises(Refused, match="no-such-bucket") as refused:
        CALLS[call](store)
    assert refused.value.reason is Reason.STORE_NOT_FOUND


def test_a_document_has_a_largest_size(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("key", b"x" * 101)
    monkeypatch.setattr("modelyard.store.client.MAX_DOCUMENT_BYTES", 100)
    with pytest.raises(Refused, match="too large"):
        s3.get("key")


def test_malformed_settings_are_refused() -> None:
    settings = StoreSettings(endpoint="http://exa mple".replace(" ", "_"), bucket="abc")
    with pytest.raises(Refused, match="default"):
        connect(settings, Credentials("a", "b"))


def test_no_variable_of_a_pod_can_redirect_requests(
    seaweed: Seaweed, s3: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    settings = StoreSettings(bucket=s3.bucket, region="eu-central-1")
    store = connect(settings, seaweed.credentials)
    assert isinstance(store, S3Store)
    assert store.endpoint == "https://s3.eu-central-1.amazonaws.com"


def test_local_settings_give_a_folder(tmp_path: Path) -> None:
    store = connect(LocalStoreSettings(endpoint=f"file://{tmp_path}"))
    assert store == FolderStore(tmp_path, "local")
    with pytest.raises(ValueError, match="endpoint"):
        StoreSettings(endpoint=f"file://{tmp_path}", bucket="local")


@pytest.mark.parametrize("key", ["../up", "/root", "a//b", "a/./b", "a\0b", ""])
def test_no_key_leaves_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(Refused):
        FolderStore(tmp_path, "local").put(key, b"content")
