"""Checkpoints: everything the next step depends on, complete or not there at all.

Layout below `ModelKeys.attempt(uid, n)`:

    checkpoints/step-<N>.npz     the arrays
    checkpoints/step-<N>.json    step, SHA-256 and size; written last: it exists = complete

Each attempt writes below its own prefix; it reads those of all earlier attempts.
"""

import hashlib
import logging
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from modelyard.api.manifest import canonical_json
from modelyard.api.meta import Model
from modelyard.api.store import ModelKeys
from modelyard.api.training import MetricValue
from modelyard.store.client import Missing, Store
from modelyard.store.fence import check_fence
from modelyard_trainer.learner import State

LOG = logging.getLogger(__name__)
KEY = re.compile(r"a(?P<attempt>\d+)/checkpoints/step-(?P<step>\d+)\.(?P<kind>json|npz)$")


class CheckpointRecord(Model):
    """The content of `step-<N>.json`."""

    schema_id: Annotated[Literal["modelyard.dev/checkpoint/v1"], Field(alias="schema")] = (
        "modelyard.dev/checkpoint/v1"
    )
    step: int
    size: int
    sha256: str
    metrics: tuple[MetricValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """A verified checkpoint."""

    step: int
    state: State
    metrics: tuple[MetricValue, ...]


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a checkpoint is; the order is from old to new."""

    step: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one training, as one attempt sees them.

    Attributes:
        store: where they are.
        keys: layout of the model's keys.
        training_uid: the training.
        attempt: the attempt that writes.
        keep_last: complete checkpoints kept of the whole training.
        scratch: local directory for one file at a time.
    """

    store: Store
    keys: ModelKeys
    training_uid: str
    attempt: int
    keep_last: int
    scratch: Path

    def save(self, step: int, state: State, metrics: tuple[MetricValue, ...]) -> None:
        """Save the state after `step` steps, then drop what is older than `keep_last`.

        Raises:
            Retry: the store did not answer.
            Refused: it denied the write, or a later attempt took over.
        """
        check_fence(self.store, self.keys, self.training_uid, self.attempt)
        path = self.scratch / f"step-{step}.npz"
        np.savez(path, **state)  # type: ignore[arg-type] # arrays by name
        try:
            sha256 = _sha256(path)
            place = _Place(step, self.attempt)
            # A replaced pod of this attempt may have left half a checkpoint of this step.
            self.store.delete(self._key(place, "json"))
            self.store.delete(self._key(place, "npz"))
            self.store.upload_file(self._key(place, "npz"), path, sha256)
            record = CheckpointRecord(
                step=step, size=path.stat().st_size, sha256=sha256, metrics=metrics
            )
            self.store.put(
                self._key(place, "json"), canonical_json(record.dump()), if_none_match=False
            )
        finally:
            path.unlink()
        self._prune()

    def newest(self) -> Iterator[Restored]:
        """Yield the complete, verified checkpoints of all attempts so far, newest first."""
        for place in sorted(self._complete(self._keys()), reverse=True):
            restored = self._load(place)
            if restored is not None:
                yield restored

    def _load(self, place: _Place) -> Restored | None:
        """Return the checkpoint, or None (and say why) if its bytes are not those recorded."""
        path = self.scratch / "restored.npz"
        try:
            record = CheckpointRecord.model_validate_json(
                self.store.get(self._key(place, "json")).content
            )
            found = self.store.download_file(self._key(place, "npz"), path)
            if found != record.sha256:
                raise ValueError(f"SHA-256 is {found}, recorded was {record.sha256}")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return Restored(record.step, dict(arrays), record.metrics)
        except (Missing, ValidationError, ValueError, zipfile.BadZipFile) as error:
            LOG.warning("checkpoint %s is not usable: %s", self._key(place, "npz"), error)
            return None
        finally:
            path.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Delete all but the newest complete checkpoints; the record goes before its arrays."""
        keys = self._keys()
        kept = sorted(self._complete(keys))[-self.keep_last :]
        outdated = [key for key in keys if _place(key) not in kept]
        for key in sorted(outdated, key=lambda key: not key.endswith(".json")):
            self.store.delete(key)

    def _keys(self) -> list[str]:
        """Return the keys of checkpoint files of this and earlier attempts."""
        listed = self.store.list_keys(self.keys.run_data(self.training_uid))
        return [k for k in listed if KEY.search(k) and _place(k).attempt <= self.attempt]

    def _complete(self, keys: Iterable[str]) -> set[_Place]:
        """Return the checkpoints that have a record."""
        return {_place(key) for key in keys if key.endswith(".json")}

    def _key(self, place: _Place, kind: str) -> str:
        prefix = self.keys.attempt(self.training_uid, place.attempt)
        return f"{prefix}checkpoints/step-{place.step}.{kind}"


def _place(key: str) -> _Place:
    """Return the place that a checkpoint key names."""
    match = KEY.search(key)
    if match is None:
        raise ValueError(f"{key} is no checkpoint key")
    return _Place(int(match["step"]), int(match["attempt"]))


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
