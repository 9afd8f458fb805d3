"""The training loop: step, look at the loss, save, measure, and stop when asked to."""

import logging
import math
import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np

from modelyard.api.errors import Retry
from modelyard_trainer.checkpoint import Checkpoints
from modelyard_trainer.dataset import Dataset
from modelyard_trainer.failures import Diverged, Interrupted
from modelyard_trainer.learner import Learner
from modelyard_trainer.order import Order
from modelyard_trainer.progress import Progress

LOG = logging.getLogger(__name__)
REPORT_STEPS = 20
"""Steps between two looks at the loss: a look waits for the device."""


@dataclass(slots=True)
class Loop:
    """One attempt's way from its first step to its last.

    Attributes:
        learner: what is trained.
        order: which rows each step sees.
        train: rows to learn from.
        evaluation: rows to measure `val_loss` and `val_accuracy` on after each epoch.
        checkpoints: where the state is saved.
        every_steps: steps between two checkpoints.
        progress: told of everything.
        stop: set when the pod has to end.
    """

    learner: Learner
    order: Order
    train: Dataset
    evaluation: Dataset
    checkpoints: Checkpoints
    every_steps: int
    progress: Progress
    stop: Event
    _pending: list[Any] = field(default_factory=list)
    _saved: int | None = None

    def resume(self) -> int:
        """Take over the newest usable checkpoint; return the steps it stands for, else 0."""
        self.progress.plan(self.order.total_steps, self.order.epochs)
        for restored in self.checkpoints.newest():
            try:
                self.learner.restore(restored.state)
            except ValueError as error:
                LOG.warning("checkpoint of step %d is not usable: %s", restored.step, error)
                continue
            self._saved = restored.step
            self.progress.resumed(restored.step)
            self.progress.recalled(restored.metrics)
            LOG.info("resumed from step %d", restored.step)
            return restored.step
        return 0

    def run(self, start: int) -> None:
        """Train from step `start` to the end.

        Raises:
            Diverged: the loss is NaN or infinite; no checkpoint has such a state.
            Interrupted: `stop` was set; the state is saved.
        """
        self.progress.advanced(start, self.order.epoch(start), self.order.batch_size)
        for step in range(start, self.order.total_steps):
            if self.stop.is_set():
                self._interrupt(step)
            rows = self.order.indices(step)
            self._pending.append(
                self.learner.train(self.train.features[rows], self.train.labels[rows])
            )
            self._after(step + 1)

    def _after(self, done: int) -> None:
        """Report, measure and save where `done` says so."""
        last = done == self.order.total_steps
        epoch_ends = self.order.ends_epoch(done)
        save = last or done % self.every_steps == 0
        if save or epoch_ends or done % REPORT_STEPS == 0:
            self._look(done)
        if epoch_ends:
            self._measure(done)
        if save:
            self._save(done)

    def _look(self, done: int) -> None:
        """Read the losses since the last look, and report."""
        losses = np.array([float(loss) for loss in self._pending], dtype=np.float64)
        self._pending.clear()
        self.progress.advanced(done, self.order.epoch(done - 1), self.order.batch_size)
        if not len(losses):
            return
        if not np.isfinite(losses).all():
            step = done - len(losses) + int(np.argmin(np.isfinite(losses))) + 1
            raise Diverged(
                f"The loss of step {step} is {losses[~np.isfinite(losses)][0]}.",
                "Lower recipe.optimizer.learningRate, or scale the features.",
            )
        self.progress.measured(done, {"loss": float(losses.mean())})

    def _measure(self, done: int) -> None:
        """Report loss and accuracy on the evaluation data; the learner does not change."""
        probabilities = self.learner.probabilities(self.evaluation.features)
        labels = self.evaluation.labels
        chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        loss = -float(np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())
        accuracy = float((probabilities.argmax(axis=1) == labels).mean())
        if not math.isfinite(loss):
            raise Diverged(f"The loss on the evaluation data is {loss} after step {done}.")
        self.progress.measured(done, {"val_loss": loss, "val_accuracy": accuracy})
        LOG.info("step %d: val_loss %.4f, val_accuracy %.4f", done, loss, accuracy)

    def _save(self, done: int) -> None:
        """Save the state, unless it is saved already; a store that is away does not stop us."""
        if done == self._saved:
            return
        started = time.monotonic()
        try:
            self.checkpoints.save(done, self.learner.state(), self.progress.report.metrics)
        except Retry as error:
            LOG.warning("no checkpoint of step %d: %s", done, error)
            return
        self._saved = done
        self.progress.saved(done, time.monotonic() - started)

    def _interrupt(self, done: int) -> None:
        """Save and leave."""
        self._look(done)
        if done:
            self._save(done)
        raise Interrupted(
            f"Stopped on request after step {done} of {self.order.total_steps}.",
            f"The next attempt continues from step {self._saved or 0}.",
        )
