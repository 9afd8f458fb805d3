"""How far the run is: one frozen report, replaced as a whole, read by any thread."""

import time
from collections.abc import Callable, Mapping

from modelyard.api.run import ProgressReport, RunPhase
from modelyard.api.training import MetricValue
from modelyard_trainer.decimals import decimal_text, number

Clock = Callable[[], float]


class Progress:
    """Keeps the current report; only the training thread changes it."""

    def __init__(self, attempt: int, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._since: tuple[float, int] | None = None
        self.report = ProgressReport(phase=RunPhase.STARTING, attempt=attempt)
        self.checkpoint_seconds: float | None = None
        """How long the last checkpoint took."""

    def enter(self, phase: RunPhase) -> None:
        """Say what comes next; speed counts from here."""
        self._since = None
        self._change(phase=phase)

    def plan(self, total_steps: int, total_epochs: int) -> None:
        """Say how long the run is."""
        self._change(total_steps=total_steps, total_epochs=total_epochs)

    def resumed(self, step: int) -> None:
        """Say that `step` steps were taken over from a checkpoint."""
        self._change(step=step, resumed_from_step=step, checkpoint_step=step)

    def advanced(self, step: int, epoch: int, batch_size: int) -> None:
        """Say that `step` steps are done; speed is that since the last call."""
        now = self._clock()
        before, self._since = self._since, (now, step)
        self._change(step=step, epoch=epoch)
        if before is not None and now > before[0] and step > before[1]:
            seconds_per_step = (now - before[0]) / (step - before[1])
            left = self.report.total_steps - step
            self._change(
                examples_per_second=decimal_text(batch_size / seconds_per_step),
                estimated_remaining_seconds=round(left * seconds_per_step),
            )

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        """Take over the latest values and keep the best of each."""
        known = {metric.name: metric for metric in self.report.metrics}
        for name, value in values.items():
            known[name] = _updated(known.get(name), name, value, step)
        self._change(metrics=tuple(known.values()))

    def recalled(self, metrics: tuple[MetricValue, ...]) -> None:
        """Take over the values that a checkpoint remembers."""
        self._change(metrics=metrics)

    def saved(self, step: int, seconds: float) -> None:
        """Say that the checkpoint of `step` is complete."""
        self.checkpoint_seconds = seconds
        self._change(checkpoint_step=step)

    def _change(self, **fields: object) -> None:
        self.report = self.report.model_copy(update=fields)


def _updated(known: MetricValue | None, name: str, value: float, step: int) -> MetricValue:
    """Return the metric with its new value and the better of old and new best."""
    text = decimal_text(value)
    best = text
    if known is not None and known.best is not None:
        choose = min if "loss" in name else max
        best = choose(known.best, text, key=number)
    return MetricValue(name=name, value=text, best=best, step=step)
