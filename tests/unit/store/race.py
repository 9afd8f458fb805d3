"""Many trainings publish at once, die at random steps, come back, and leave zombies behind.

A round is one model: each training publishes until it is acknowledged, while a collector removes
some of the trainings and sweeps. A crash is a process that ends between two requests. A zombie is
one that was only held there, and goes on after its successor is done.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import ManifestDraft
from modelyard.api.store import ModelKeys
from modelyard.store.collect import remove_run, sweep_tombstones
from modelyard.store.interface import Conflict, Store
from modelyard.store.publication import Published
from tests.unit.store.artifacts import make_draft, make_model
from tests.unit.store.crashing import Fuse, Killed, SteppedStore

Publisher = Callable[[Store, ModelKeys, ManifestDraft, Path], Published]
STEPS = 45
"""Steps of an undisturbed publication of four files, roughly."""

HELD_SECONDS = 900
"""Longer than any round takes; a machine may be slow."""

TRIES = 6
"""Crashes of one training before it is let through."""


@dataclass
class Held:
    """Holds its process at one step until `release` is set."""

    number: int
    release: threading.Event
    steps: int = 0
    reached: threading.Event = field(default_factory=threading.Event)

    def __call__(self, name: str) -> None:
        self.steps += 1
        if self.steps > self.number:
            self.reached.set()
            assert self.release.wait(HELD_SECONDS), f"nobody released the zombie at {name}"


@dataclass
class Round:
    """One model, its trainings and what they were told."""

    store: Store
    keys: ModelKeys
    folder: Path
    publish: Publisher
    seed: int
    crashes: int = 0
    zombies: int = 0
    fenced: int = 0
    acknowledged: dict[str, set[Published]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def play(self, trainings: int, collector: bool = True) -> None:
        """Run all trainings to their ends, with the collector beside them if wanted."""
        done = threading.Event()
        with ThreadPoolExecutor(trainings + 1) as pool:
            collecting = pool.submit(self._collect, done, trainings) if collector else None
            for training in [pool.submit(self._train, n) for n in range(trainings)]:
                training.result()
            done.set()
            if collecting:
                collecting.result()

    def _train(self, number: int) -> None:
        uid = f"uid-{number}"
        dice = random.Random(f"{self.seed}/{uid}")  # noqa: S311 - a seed that replays
        release = threading.Event()
        with ThreadPoolExecutor(TRIES) as zombies:
            held: list[Future[None]] = []
            attempt = 1
            for _ in range(dice.randrange(TRIES)):
                folder = self._model(uid, attempt)
                if dice.random() < 0.25:
                    step = Held(dice.randrange(STEPS), release)
                    held.append(zombies.submit(self._try, uid, attempt, step))
                    _wait_until_held(step, held[-1])
                    self.zombies += 1
                    attempt += 1
                else:
                    self._try(uid, attempt, Fuse(dice.randrange(STEPS)))
                    attempt += dice.randrange(2)
                assert folder.is_dir()
            self._try(uid, attempt, lambda _: None)
            release.set()
            for zombie in held:
                zombie.result()

    def _model(self, uid: str, attempt: int) -> Path:
        # Attempts 1 and 2 train the same bytes, 3 and 4 others, and so on.
        return make_model(self.folder / f"{uid}-{attempt}", f"{uid} {(attempt + 1) // 2}")

    def _try(self, uid: str, attempt: int, step: Callable[[str], None]) -> None:
        """Publish once, as a process that may die."""
        store = SteppedStore(self.store, step)
        folder = self._model(uid, attempt)
        try:
            published = self._persist(store, make_draft(uid, attempt), folder)
        except Killed:
            with self.lock:
                self.crashes += 1
        except Refused:
            with self.lock:
                self.fenced += 1
        else:
            with self.lock:
                self.acknowledged.setdefault(uid, set()).add(published)

    def _persist(self, store: Store, draft: ManifestDraft, folder: Path) -> Published:
        for left in reversed(range(20)):
            try:
                return self.publish(store, self.keys, draft, folder)
            except (Retry, Conflict):
                if not left:
                    raise
        raise AssertionError("not reached")

    def _collect(self, done: threading.Event, trainings: int) -> None:
        """Remove every fifth training, dying in between, and sweep, until all are done."""
        dice = random.Random(f"{self.seed}/collector")  # noqa: S311 - as above
        doomed = [f"uid-{n}" for n in range(0, trainings, 5)]
        for uid in doomed:
            done.wait(dice.random() * 0.3)
            try:
                remove_run(SteppedStore(self.store, Fuse(dice.randrange(30))), self.keys, uid)
            except Killed:
                self.crashes += 1
            remove_run(self.store, self.keys, uid)
            self.removed.add(uid)
        while not done.wait(0.2):
            sweep_tombstones(self.store, self.keys)
        sweep_tombstones(self.store, self.keys)


def _wait_until_held(step: Held, process: Future[None]) -> None:
    """Wait until the zombie is held, or ran to its end before that step."""
    while not step.reached.wait(0.01):
        if process.done():
            return


def naive_publish(
    store: Store, keys: ModelKeys, draft: ManifestDraft, directory: Path
) -> Published:
    """Publish as one would without the protocol: highest number + 1, plain PUTs."""
    from modelyard.api.manifest import Manifest, canonical_json, digest_of
    from modelyard.store.paths import inventory

    taken = [k.rsplit("/", 1)[1] for k in store.list_keys(f"{keys.root}_registry/manifests/")]
    version = max((int(name.removesuffix(".json")) for name in taken), default=0) + 1
    files = inventory(directory)
    for file in files:
        store.put(
            keys.artifact(version) + file.entry.path, file.path.read_bytes(), if_none_match=False
        )
    manifest = Manifest(**dict(draft), version=version, files=tuple(f.entry for f in files))
    content = canonical_json(manifest.dump())
    store.put(keys.manifest(version), content, if_none_match=False)
    return Published(version, digest_of(content))
