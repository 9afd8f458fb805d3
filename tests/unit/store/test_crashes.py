"""Publication and removal survive a crash at every step, and races of everything at once."""

import os
from pathlib import Path

import pytest

from modelyard.api.manifest import Tombstone
from modelyard.api.store import ModelKeys
from modelyard.store.collect import remove_run, remove_version, sweep_tombstones
from modelyard.store.commit import read_commit
from modelyard.store.folder import FolderStore
from modelyard.store.interface import Store
from modelyard.store.publication import Published, publish
from tests.seaweed import Seaweed
from tests.unit.store.artifacts import KEYS, make_draft, make_model
from tests.unit.store.crashing import Fuse, Killed, SteppedStore, audit
from tests.unit.store.race import Publisher, Round, naive_publish

pytest_plugins = ["tests.plugins.seaweed"]
CRASHES = int(os.environ.get("MODELYARD_CRASHES", "100"))
TRAININGS = 10


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store", "local")


@pytest.fixture
def s3(seaweed: Seaweed, bucket: str) -> Store:
    return seaweed.store(bucket)


def undisturbed_steps(store: Store, folder: Path) -> int:
    """Return how many steps a publication takes when nothing disturbs it."""
    fuse = Fuse(10_000)
    publish(SteppedStore(store, fuse), KEYS, make_draft("undisturbed"), folder)
    return fuse.steps


@pytest.mark.parametrize("next_attempt", [(1, "first"), (2, "first"), (2, "other"), (1, "other")])
def test_a_publication_that_died_anywhere_is_repaired_by_publishing_again(
    folder_store: FolderStore, tmp_path: Path, next_attempt: tuple[int, str]
) -> None:
    attempt, content = next_attempt
    first, second = make_model(tmp_path / "1"), make_model(tmp_path / "2", content)
    steps = undisturbed_steps(folder_store, first)
    assert steps > 25
    for step in range(steps):
        uid = f"uid-{step}"
        with pytest.raises(Killed):
            publish(SteppedStore(folder_store, Fuse(step)), KEYS, make_draft(uid), first)
        published = publish(folder_store, KEYS, make_draft(uid, attempt), second)
        again = publish(folder_store, KEYS, make_draft(uid, attempt), second)
        found = audit(folder_store, KEYS)
        assert published == again
        assert found.clean
        assert found.committed[uid] == (published.version, published.manifest_digest)
        assert found.strays == []


def test_the_repair_itself_may_die_anywhere(folder_store: FolderStore, tmp_path: Path) -> None:
    first, second = make_model(tmp_path / "1"), make_model(tmp_path / "2", "other")
    late = undisturbed_steps(folder_store, first) - 3  # all files are there, nothing is committed
    step, uid = 0, ""
    repaired = False
    while not repaired:
        uid = f"uid-{step}"
        with pytest.raises(Killed):
            publish(SteppedStore(folder_store, Fuse(late)), KEYS, make_draft(uid), first)
        try:
            publish(SteppedStore(folder_store, Fuse(step)), KEYS, make_draft(uid, 2), second)
            repaired = True
        except Killed:
            publish(folder_store, KEYS, make_draft(uid, 3), second)
        step += 1
    sweep_tombstones(folder_store, KEYS)
    found = audit(folder_store, KEYS)
    assert step > 40
    assert found.clean
    assert len(found.committed) == step + 1
    assert found.strays == []


def test_a_removal_that_died_anywhere_is_finished_by_the_next(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model")
    kept = publish(folder_store, KEYS, make_draft("kept"), folder)
    step, finished = 0, False
    while not finished:
        gone = publish(folder_store, KEYS, make_draft(f"uid-{step}"), folder)
        fuse = Fuse(step)
        try:
            remove(SteppedStore(folder_store, fuse), gone)
            finished = True
        except Killed:
            assert audit(folder_store, KEYS).clean
            remove(folder_store, gone)
        remove(folder_store, gone)
        commit = read_commit(folder_store, KEYS, gone.version)
        assert commit is not None
        assert isinstance(commit.record, Tombstone)
        assert commit.record.files == ()
        step += 1
    found = audit(folder_store, KEYS)
    assert step > 10
    assert found.clean
    assert found.committed == {"kept": (kept.version, kept.manifest_digest)}
    assert found.strays == []


def remove(store: Store, published: Published) -> None:
    remove_version(store, KEYS, published.version, published.manifest_digest)


def test_the_removal_of_a_run_that_died_anywhere_is_finished_by_the_next(
    folder_store: FolderStore, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model")
    late = undisturbed_steps(folder_store, folder) - 3
    step, finished = 0, False
    while not finished:
        uid = f"uid-{step}"
        with pytest.raises(Killed):
            publish(SteppedStore(folder_store, Fuse(late)), KEYS, make_draft(uid), folder)
        folder_store.put(KEYS.attempt(uid, 1) + "checkpoints/7/weights", b"weights")
        folder_store.put(KEYS.attempt(uid, 1) + "logs/trainer.log", b"log")
        try:
            remove_run(SteppedStore(folder_store, Fuse(step)), KEYS, uid)
            finished = True
        except Killed:
            remove_run(folder_store, KEYS, uid)
        left = list(folder_store.list_keys(KEYS.run_data(uid)))
        assert left == [KEYS.attempt(uid, 1) + "logs/trainer.log", KEYS.run_data(uid) + "fence"]
        step += 1
    assert step > 20
    assert audit(folder_store, KEYS).strays == []


def play(store: Store, folder: Path, publisher: Publisher, seed: int) -> Round:
    keys = ModelKeys("", "team", f"digits-{seed}")
    current = Round(store, keys, folder / str(seed), publisher, seed)
    current.play(TRAININGS, collector=publisher is publish)
    return current


@pytest.mark.timeout(3600)
def test_nothing_breaks_while_publishers_die_and_a_collector_races(
    s3: Store, tmp_path: Path
) -> None:
    crashes = zombies = fenced = committed = seed = 0
    while crashes < CRASHES:
        current = play(s3, tmp_path, publish, seed)
        found = audit(current.store, current.keys)
        assert found.broken == []
        assert found.duplicates == []
        assert found.strays == []
        judge(current, found.committed)
        crashes += current.crashes
        zombies += current.zombies
        fenced += current.fenced
        committed += len(found.committed)
        seed += 1
    print(
        f"\n{seed} rounds, {crashes} crashes, {zombies} zombies, {fenced} locked out, "
        f"{committed} versions committed, 0 broken, 0 duplicates"
    )
    assert zombies > 0
    assert fenced > 0


def judge(current: Round, committed: dict[str, tuple[int, str]]) -> None:
    """Compare what the trainings were told with what is in the store."""
    for uid, answers in current.acknowledged.items():
        assert len(answers) == 1, f"{uid} was told {answers}"
        told = next(iter(answers))
        expected = None if uid in current.removed else (told.version, told.manifest_digest)
        assert committed.get(uid) == expected
    everyone = {f"uid-{n}" for n in range(TRAININGS)}
    assert everyone - current.removed <= set(committed)
    numbers = [number for number, _ in committed.values()]
    assert len(numbers) == len(set(numbers))


def test_the_same_judge_finds_what_a_naive_uploader_breaks(s3: Store, tmp_path: Path) -> None:
    current = play(s3, tmp_path, naive_publish, 0)
    found = audit(current.store, current.keys)
    assert found.broken or found.duplicates
    with pytest.raises(AssertionError):
        judge(current, found.committed)
