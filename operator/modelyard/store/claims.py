"""Who owns a version number: one claim per number, one pointer per training.

The pointer `runs/<uid>` names the number that a training may commit. It is changed by compare and
swap only, it moves on only after its old number has a tombstone, and it remembers the latest
attempt. Hence a training commits at most once, and an attempt that was replaced or given up learns
so. Numbers are never used again; gaps are harmless.
"""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from modelyard.api.errors import Refused, Retry
from modelyard.api.manifest import Manifest, Tombstone
from modelyard.api.meta import Model
from modelyard.api.store import ModelKeys
from modelyard.api.version import TrainingSource
from modelyard.plan.observed import RunFact
from modelyard.store.commit import decide, read_commit
from modelyard.store.documents import create, decode, swap
from modelyard.store.fence import CLOSED, locked_out
from modelyard.store.interface import Fetched, Missing, Store

ROUNDS = 50
"""Lost races after which a caller is told to come back later."""

NUMBERED = re.compile(r"/([1-9][0-9]{0,15})\.json$")


class Claim(Model):
    """Reserves a number for a training."""

    training_uid: str


class RunPointer(Model):
    """The number that a training may commit."""

    version: Annotated[int, Field(ge=1)] | None = None
    """None: given up before it had a number."""

    attempt: Annotated[int, Field(ge=1, le=CLOSED)]
    """Latest attempt that publishes; `CLOSED`: given up."""


def number_for(store: Store, keys: ModelKeys, source: TrainingSource) -> int:
    """Return the number of a training, claiming one if it has none.

    Raises:
        Refused: A later attempt publishes, or the training was given up.
        Retry: Too many trainings claim numbers of this model at once.
    """
    for _ in range(ROUNDS):
        found = read_pointer(store, keys, source.uid)
        if found is None:
            _point_first(store, keys, source)
            continue
        pointer, fetched = found
        if pointer.attempt > source.attempt or pointer.version is None:
            raise locked_out(source.uid, source.attempt, pointer.attempt)
        if pointer.attempt == source.attempt:
            return pointer.version
        taken_over = RunPointer(version=pointer.version, attempt=source.attempt)
        swap(store, keys.run(source.uid), taken_over, fetched.etag)
    raise Retry(f"{store.locate(keys.run(source.uid))} is contended: publish again")


def move_on(store: Store, keys: ModelKeys, source: TrainingSource, old: int) -> None:
    """Give a training another number than `old`, which has a tombstone; losing a race is fine."""
    found = read_pointer(store, keys, source.uid)
    if found is None or found[0] != RunPointer(version=old, attempt=source.attempt):
        return
    version = _own_open_number(store, keys, source.uid) or _claim(store, keys, source.uid)
    moved = RunPointer(version=version, attempt=source.attempt)
    swap(store, keys.run(source.uid), moved, found[1].etag)


def close_run(store: Store, keys: ModelKeys, training_uid: str) -> int | None:
    """Let no attempt publish any more; return the number the training had, if any."""
    key = keys.run(training_uid)
    for _ in range(ROUNDS):
        found = read_pointer(store, keys, training_uid)
        if found is None:
            create(store, key, RunPointer(version=None, attempt=CLOSED))
            continue
        pointer, fetched = found
        closed = RunPointer(version=pointer.version, attempt=CLOSED)
        if pointer == closed or swap(store, key, closed, fetched.etag):
            return pointer.version
    raise Retry(f"{store.locate(key)} is contended: try again")


def read_pointer(
    store: Store, keys: ModelKeys, training_uid: str
) -> tuple[RunPointer, Fetched] | None:
    """Return a training's pointer with its etag, or None."""
    key = keys.run(training_uid)
    try:
        fetched = store.get(key)
    except Missing:
        return None
    return decode(RunPointer, fetched.content, store.locate(key)), fetched


def published_by(store: Store, keys: ModelKeys, training_uid: str) -> RunFact:
    """Say which version a training has committed; an obstacle is a fact, never raised."""
    try:
        found = read_pointer(store, keys, training_uid)
        number = found[0].version if found else None
        commit = read_commit(store, keys, number) if number else None
    except (Refused, Retry) as obstacle:
        return RunFact("Unreachable", message=str(obstacle))
    match commit.record if commit else None:
        case Manifest() as manifest if commit and manifest.source.uid == training_uid:
            return RunFact("Committed", manifest.version, commit.digest)
    return RunFact("Nothing")


def decided_numbers(store: Store, keys: ModelKeys) -> Iterator[int]:
    """Yield the numbers that have a manifest or a tombstone."""
    return _numbers(store, f"{keys.root}_registry/manifests/")


def _numbers(store: Store, prefix: str) -> Iterator[int]:
    matches = (NUMBERED.search(key) for key in store.list_keys(prefix))
    return (int(match.group(1)) for match in matches if match)


def _claimed_numbers(store: Store, keys: ModelKeys) -> Iterator[int]:
    return _numbers(store, f"{keys.root}_registry/claims/")


def _point_first(store: Store, keys: ModelKeys, source: TrainingSource) -> None:
    version = _own_open_number(store, keys, source.uid) or _claim(store, keys, source.uid)
    first = RunPointer(version=version, attempt=source.attempt)
    if create(store, keys.run(source.uid), first):
        return
    winner = read_pointer(store, keys, source.uid)
    if winner and winner[0].version != version:
        # Nothing can be committed here any more, so say so to whoever lists the numbers.
        decide(store, keys, Tombstone(version=version, reason="claimed and not used"))


def _own_open_number(store: Store, keys: ModelKeys, training_uid: str) -> int | None:
    """Return a number that an earlier try claimed before it died, or None."""
    undecided = set(_claimed_numbers(store, keys)) - set(decided_numbers(store, keys))
    owned = (n for n in sorted(undecided) if _claimant(store, keys, n) == training_uid)
    return next(owned, None)


def _claimant(store: Store, keys: ModelKeys, version: int) -> str:
    key = keys.claim(version)
    return decode(Claim, store.get(key).content, store.locate(key)).training_uid


def _claim(store: Store, keys: ModelKeys, training_uid: str) -> int:
    taken = {*_claimed_numbers(store, keys), *decided_numbers(store, keys)}
    first = max(taken, default=0) + 1
    for version in range(first, first + ROUNDS):
        if create(store, keys.claim(version), Claim(training_uid=training_uid)):
            return version
    raise Retry(f"numbers below {store.locate(keys.root)} are contended: publish again")
