"""What publication promises: one number per training, equal bytes once, older attempts stop."""

from pathlib import Path

import pytest

from modelyard.api.errors import Refused
from modelyard.api.manifest import Manifest, Tombstone
from modelyard.api.reasons import Reason
from modelyard.plan.observed import RunFact
from modelyard.store.claims import number_for, published_by, read_pointer
from modelyard.store.collect import give_up, remove_run, remove_version, sweep_tombstones
from modelyard.store.commit import decide, read_commit
from modelyard.store.fence import check_fence, raise_fence, read_fence
from modelyard.store.folder import FolderStore
from modelyard.store.interface import Store
from modelyard.store.publication import publish
from tests.unit.store.artifacts import FILES, KEYS, make_draft, make_model
from tests.unit.store.crashing import Killed, SteppedStore, audit


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store", "local")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def test_a_version_has_its_files_and_a_manifest_that_names_them(store: Store, model: Path) -> None:
    published = publish(store, KEYS, make_draft(), model)
    commit = read_commit(store, KEYS, published.version)
    assert commit is not None
    assert commit.digest == published.manifest_digest
    assert isinstance(commit.record, Manifest)
    assert tuple(file.path for file in commit.record.files) == FILES
    assert list(store.list_keys("base/team/digits/1/")) == [
        f"base/team/digits/1/{f}" for f in FILES
    ]


def test_trainings_get_numbers_in_turn_and_keep_them(store: Store, model: Path) -> None:
    numbers = [publish(store, KEYS, make_draft(f"u{n}"), model).version for n in range(12)]
    again = [publish(store, KEYS, make_draft(f"u{n}"), model).version for n in range(12)]
    assert numbers == again == list(range(1, 13))


def test_saved_model_is_uploaded_last_and_the_manifest_after_it(store: Store, model: Path) -> None:
    class Recorder(SteppedStore):
        def upload_file(self, key: str, path: Path, sha256: str) -> None:
            written.append(path.name)
            super().upload_file(key, path, sha256)

        def put(self, key: str, content: bytes, **condition: object) -> str:
            written.append(key.rsplit("_registry/", 1)[-1])
            return self.inner.put(key, content)

    written: list[str] = []
    publish(Recorder(store, lambda _: None), KEYS, make_draft(), model)
    assert written[:2] == ["claims/1.json", "runs/uid-a.json"]
    assert written[-2:] == ["saved_model.pb", "manifests/1.json"]


def test_a_committed_training_keeps_its_version_whatever_it_brings(
    store: Store, model: Path, tmp_path: Path
) -> None:
    first = publish(store, KEYS, make_draft(attempt=1), model)
    other = make_model(tmp_path / "other", "other")
    assert publish(store, KEYS, make_draft(attempt=2), other) == first


def test_other_bytes_of_a_dead_attempt_are_left_behind_under_their_number(
    store: Store, model: Path, tmp_path: Path
) -> None:
    dead = make_model(tmp_path / "dead", "dead")
    store.upload_file(KEYS.artifact(1) + FILES[3], dead / FILES[3], _sha256(dead / FILES[3]))
    number_for(store, KEYS, make_draft(attempt=1).source)
    published = publish(store, KEYS, make_draft(attempt=2), model)
    commit = read_commit(store, KEYS, 1)
    assert published.version == 2
    assert commit is not None
    assert isinstance(commit.record, Tombstone)
    assert commit.record.superseded_by == 2
    assert list(store.list_keys(KEYS.artifact(1))) == []
    assert audit(store, KEYS).clean


def _sha256(path: Path) -> str:
    from modelyard.store.folder import _sha256 as hashed

    return hashed(path)


def test_an_older_attempt_stops_once_a_later_one_publishes(store: Store, model: Path) -> None:
    number_for(store, KEYS, make_draft(attempt=2).source)
    with pytest.raises(Refused, match="attempt 2 took over") as refused:
        publish(store, KEYS, make_draft(attempt=1), model)
    assert refused.value.reason is Reason.INTERRUPTED


def test_an_attempt_that_meets_a_later_ones_tombstone_stops(store: Store, model: Path) -> None:
    number_for(store, KEYS, make_draft(attempt=1).source)
    decide(store, KEYS, Tombstone(version=1, reason="moved", superseded_by=2))
    with pytest.raises(Refused, match="attempt 2 took over"):
        publish(store, KEYS, make_draft(attempt=1), model)


def test_a_fence_locks_older_attempts_out_and_only_rises(store: Store, model: Path) -> None:
    raise_fence(store, KEYS, "uid-a", 3)
    raise_fence(store, KEYS, "uid-a", 2)
    assert read_fence(store, KEYS, "uid-a") == 3
    check_fence(store, KEYS, "uid-a", 3)
    with pytest.raises(Refused, match="attempt 3 took over"):
        publish(store, KEYS, make_draft(attempt=2), model)
    assert publish(store, KEYS, make_draft(attempt=3), model).version == 1


def test_a_fence_raised_during_the_upload_stops_the_commit(store: Store, model: Path) -> None:
    def fence(name: str) -> None:
        if name == "before upload":
            raise_fence(store, KEYS, "uid-a", 2)

    with pytest.raises(Refused, match="attempt 2 took over"):
        publish(SteppedStore(store, fence), KEYS, make_draft(attempt=1), model)
    assert read_commit(store, KEYS, 1) is None


def test_a_number_given_up_during_the_upload_is_not_committed(store: Store, model: Path) -> None:
    def collect(name: str) -> None:
        if name == "before upload":
            give_up(store, KEYS, 1, "abandoned")

    with pytest.raises(Refused, match="abandoned"):
        publish(SteppedStore(store, collect), KEYS, make_draft(), model)
    assert audit(store, KEYS).committed == {}
    assert sweep_tombstones(store, KEYS) > 0
    assert audit(store, KEYS).strays == []
    assert sweep_tombstones(store, KEYS) == 0


def test_a_committed_number_cannot_be_given_up(store: Store, model: Path) -> None:
    publish(store, KEYS, make_draft(), model)
    assert give_up(store, KEYS, 1, "abandoned") is False
    assert audit(store, KEYS).clean
    assert set(audit(store, KEYS).committed) == {"uid-a"}


def test_giving_up_number_one_spares_number_ten(store: Store, model: Path) -> None:
    number_for(store, KEYS, make_draft("slow").source)
    versions = [publish(store, KEYS, make_draft(f"u{n}"), model).version for n in range(9)]
    assert versions[-1] == 10
    assert give_up(store, KEYS, 1, "abandoned") is True
    store.put(KEYS.artifact(1) + "late", b"written by a zombie")
    assert sweep_tombstones(store, KEYS) == 1
    assert audit(store, KEYS).clean
    assert len(audit(store, KEYS).committed) == 9


def test_a_removed_run_cannot_publish_any_more(store: Store, model: Path) -> None:
    remove_run(store, KEYS, "uid-a")
    with pytest.raises(Refused, match="the training is over"):
        publish(store, KEYS, make_draft(attempt=7), model)


def test_removing_a_run_keeps_only_the_version_that_somebody_guards(
    store: Store, model: Path
) -> None:
    published = publish(store, KEYS, make_draft(), model)
    other = publish(store, KEYS, make_draft("uid-b"), model)
    remove_run(store, KEYS, "uid-a", keep_version=1)
    assert audit(store, KEYS).committed["uid-a"] == (1, published.manifest_digest)
    for _ in range(2):
        remove_run(store, KEYS, "uid-a")
    assert audit(store, KEYS).committed == {"uid-b": (2, other.manifest_digest)}
    assert audit(store, KEYS).clean
    assert audit(store, KEYS).strays == []


def test_what_a_training_published_is_known_without_its_pod(store: Store, model: Path) -> None:
    assert published_by(store, KEYS, "uid-a") == RunFact("Nothing")
    number_for(store, KEYS, make_draft().source)
    assert published_by(store, KEYS, "uid-a") == RunFact("Nothing")
    published = publish(store, KEYS, make_draft(), model)
    known = RunFact("Committed", published.version, published.manifest_digest)
    assert published_by(store, KEYS, "uid-a") == known
    remove_version(store, KEYS, published.version, published.manifest_digest)
    assert published_by(store, KEYS, "uid-a") == RunFact("Nothing")


def test_a_pointer_to_another_trainings_version_is_nothing_of_ours(
    store: Store, model: Path
) -> None:
    publish(store, KEYS, make_draft("uid-a"), model)
    store.put(KEYS.run("uid-b"), b'{"attempt":1,"version":1}')
    assert published_by(store, KEYS, "uid-b") == RunFact("Nothing")
    remove_run(store, KEYS, "uid-b")
    assert set(audit(store, KEYS).committed) == {"uid-a"}


def test_a_pointer_that_cannot_be_read_is_an_obstacle_not_an_answer(store: Store) -> None:
    store.put(KEYS.run("uid-a"), b"{}")
    fact = published_by(store, KEYS, "uid-a")
    assert fact.state == "Unreachable"
    assert "RunPointer" in fact.message


def test_a_removed_version_is_not_published_again(store: Store, model: Path) -> None:
    published = publish(store, KEYS, make_draft(), model)
    remove_version(store, KEYS, published.version, published.manifest_digest)
    with pytest.raises(Refused, match="given up: removed"):
        publish(store, KEYS, make_draft(), model)
    assert publish(store, KEYS, make_draft("uid-b"), model).version == 2


def test_a_claim_that_a_crash_left_is_used_again(store: Store, model: Path) -> None:
    def die(name: str) -> None:
        if name == "after put":
            raise Killed(name)

    with pytest.raises(Killed):
        publish(SteppedStore(store, die), KEYS, make_draft(), model)
    assert read_pointer(store, KEYS, "uid-a") is None
    assert publish(store, KEYS, make_draft("uid-b"), model).version == 2
    assert publish(store, KEYS, make_draft("uid-a"), model).version == 1


def test_a_manifest_of_another_training_is_a_conflict(store: Store, model: Path) -> None:
    first = publish(store, KEYS, make_draft("uid-a"), model)
    store.put(KEYS.run("uid-b"), b'{"attempt":1,"version":1}')
    with pytest.raises(Refused, match="uid-a") as refused:
        publish(store, KEYS, make_draft("uid-b"), model)
    assert refused.value.reason is Reason.NAME_CONFLICT
    assert audit(store, KEYS).committed == {"uid-a": (1, first.manifest_digest)}


def test_an_unreadable_pointer_is_named(store: Store, model: Path) -> None:
    store.put(KEYS.run("uid-a"), b"{}")
    with pytest.raises(Refused, match=r"runs/uid-a\.json is not a readable RunPointer"):
        publish(store, KEYS, make_draft("uid-a"), model)
