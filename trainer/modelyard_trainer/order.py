"""Which examples each step sees: a pure function of seed and step, so that a resumed run agrees."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Order:
    """The steps of a run.

    Attributes:
        rows: examples in the training data.
        batch_size: examples per step; the last step of an epoch may have fewer.
        epochs: passes over the data.
        seed: seed of the run.

    >>> order = Order(rows=5, batch_size=2, epochs=2, seed=1)
    >>> order.total_steps
    6
    >>> sorted(int(i) for step in range(3) for i in order.indices(step))
    [0, 1, 2, 3, 4]
    """

    rows: int
    batch_size: int
    epochs: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass, the partial batch included."""
        return -(-self.rows // self.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def epoch(self, step: int) -> int:
        """Return the epoch, counted from 1, that `step` (counted from 0) belongs to."""
        return min(step // self.steps_per_epoch, self.epochs - 1) + 1

    def ends_epoch(self, done: int) -> bool:
        """Tell whether an epoch is complete after `done` steps."""
        return done % self.steps_per_epoch == 0

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the rows of `step`, counted from 0 over the whole run."""
        epoch, position = divmod(step, self.steps_per_epoch)
        first = position * self.batch_size
        return _permutation(self.seed, epoch, self.rows)[first : first + self.batch_size]


@lru_cache(maxsize=1)
def _permutation(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """Return the order of one epoch; kept until the next one, because every step asks for it."""
    return np.random.default_rng((seed, epoch)).permutation(rows)
