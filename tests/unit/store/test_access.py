"""Credentials, the capability probe, and reading data sets."""

import hashlib
from pathlib import Path

import pytest

from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.api.store import StoreSettings
from modelyard.store.client import S3Store, connect
from modelyard.store.credentials import Credentials, find_credentials
from modelyard.store.data import DataError, read_object
from modelyard.store.folder import FolderStore
from modelyard.store.interface import Store
from modelyard.store.probe import probe_store
from tests.seaweed import Seaweed, free_ports
from tests.unit.store.crashing import SteppedStore

pytest_plugins = ["tests.plugins.seaweed"]


@pytest.fixture
def store(seaweed: Seaweed, bucket: str) -> S3Store:
    return seaweed.store(bucket)


def write_secret(base: Path, **files: str) -> dict[str, str]:
    folder = base / "main"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    return {"MODELYARD_CREDENTIALS": str(base)}


def test_a_mounted_secret_comes_first(tmp_path: Path) -> None:
    environment = write_secret(
        tmp_path, AWS_ACCESS_KEY_ID="key\n", AWS_SECRET_ACCESS_KEY="secret\n"
    ) | {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"}
    assert find_credentials("main", environment) == Credentials("key", "secret")
    assert find_credentials("elsewhere", environment) == Credentials("other", "other")


def test_half_a_secret_is_refused(tmp_path: Path) -> None:
    environment = write_secret(tmp_path, AWS_ACCESS_KEY_ID="key")
    with pytest.raises(Refused, match="AWS_SECRET_ACCESS_KEY") as refused:
        find_credentials("main", environment)
    assert refused.value.reason is Reason.SECRET_NOT_FOUND


def test_the_environment_may_carry_a_session_token(tmp_path: Path) -> None:
    environment = {
        "MODELYARD_CREDENTIALS": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }
    assert find_credentials("main", environment) == Credentials("key", "secret", "token")


def test_without_any_the_chain_decides(tmp_path: Path) -> None:
    assert find_credentials("main", {"MODELYARD_CREDENTIALS": str(tmp_path)}) is None


def test_secrets_do_not_show() -> None:
    assert "hidden" not in repr(Credentials("key", "hidden", "hidden"))


def test_credentials_of_a_mounted_secret_open_the_store(
    seaweed: Seaweed, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = seaweed.credentials
    write_secret(tmp_path, AWS_ACCESS_KEY_ID=keys.access_key, AWS_SECRET_ACCESS_KEY=keys.secret_key)
    monkeypatch.setenv("MODELYARD_CREDENTIALS", str(tmp_path))
    connect(seaweed.settings(bucket, name="main")).put("key", b"content")


def test_no_credentials_at_all_are_refused(
    seaweed: Seaweed, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Refused, match="no credentials") as refused:
        connect(seaweed.settings(bucket)).get("key")
    assert refused.value.reason is Reason.SECRET_NOT_FOUND


def test_both_stores_pass_the_probe(store: S3Store, tmp_path: Path) -> None:
    for each in (store, FolderStore(tmp_path, "local")):
        assert probe_store(each, "base/").missing == ()
        assert list(each.list_keys("")) == []


class CarelessStore(SteppedStore):
    """Ignores conditions and checksums, as some services do."""

    def put(
        self, key: str, content: bytes, *, if_none_match: bool = True, if_match: str | None = None
    ) -> str:
        return self.inner.put(key, content, if_none_match=False)

    def put_announced(self, key: str, content: bytes, sha256: str) -> None:
        self.inner.put(key, content, if_none_match=False)


def test_a_store_that_ignores_conditions_fails_the_probe(store: S3Store) -> None:
    found = probe_store(CarelessStore(store, lambda _: None))
    assert not found.conditional_create
    assert not found.conditional_replace
    assert not found.checks_content
    assert found.lists_after_write
    assert len(found.missing) == 3


def test_a_store_that_may_not_be_written_refuses_the_probe(seaweed: Seaweed, bucket: str) -> None:
    with pytest.raises(Refused, match="AccessDenied"):
        probe_store(connect(seaweed.settings(bucket), seaweed.reader))


CONTENT = b"1,2,3\n" * 1000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def uri(seaweed: Seaweed) -> str:
    bucket = seaweed.make_bucket()
    seaweed.store(bucket).put("sets/train.csv", CONTENT)
    return f"s3://{bucket}/sets/train.csv"


@pytest.mark.parametrize("expected", [DIGEST, None])
def test_a_data_set_is_read_from_its_own_bucket(
    store: Store, uri: str, tmp_path: Path, expected: str | None
) -> None:
    found = read_object(store, uri, tmp_path / "train.csv", expected)
    assert (found.digest, found.size) == (DIGEST, len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]
    assert (tmp_path / "train.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "case",
    [
        (("train", "other"), Reason.INVALID_SPEC, "does not exist: upload the data set"),
        (("s3://test-", "s3://no-"), Reason.STORE_NOT_FOUND, "no such bucket"),
        (("s3://", "http://"), Reason.INVALID_SPEC, "s3://bucket/key"),
    ],
)
def test_what_is_not_there_is_a_data_error(
    store: Store, uri: str, tmp_path: Path, case: tuple[tuple[str, str], Reason, str]
) -> None:
    change, reason, words = case
    with pytest.raises(DataError, match=words) as error:
        read_object(store, uri.replace(*change), tmp_path / "train.csv")
    assert error.value.reason is reason
    assert list(tmp_path.iterdir()) == []


def test_changed_data_is_a_data_error(store: Store, uri: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=DIGEST) as error:
        read_object(store, uri, tmp_path / "train.csv", "sha256:" + "0" * 64)
    assert error.value.reason is Reason.DIGEST_MISMATCH
    assert list(tmp_path.iterdir()) == []


def test_denied_data_is_a_data_error(
    seaweed: Seaweed, bucket: str, uri: str, tmp_path: Path
) -> None:
    wrong = connect(seaweed.settings(bucket), Credentials("modelyard", "wrong"))
    with pytest.raises(DataError, match="credentials") as error:
        read_object(wrong, uri, tmp_path / "train.csv")
    assert error.value.reason is Reason.FORBIDDEN


def test_data_of_a_store_that_is_down_asks_to_retry(
    seaweed: Seaweed, uri: str, tmp_path: Path
) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    down = connect(StoreSettings(endpoint=endpoint, bucket="any"), seaweed.credentials)
    with pytest.raises(Retry, match=endpoint):
        read_object(down, uri, tmp_path / "train.csv")
    assert list(tmp_path.iterdir()) == []
