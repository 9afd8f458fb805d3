"""What a running trainer answers over HTTP."""

import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelyard.api.run import ProgressReport, RunPhase
from modelyard_trainer.progress import Progress
from modelyard_trainer.server import serve_progress


class ManualClock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def progress(clock):
    return Progress(attempt=2, clock=clock)


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
        return reply.read().decode()


def samples(port):
    """Return every gauge by name and metric label."""
    return {
        (
            sample.name.removeprefix("modelyard_trainer_"),
            sample.labels.get("metric", ""),
        ): sample.value
        for family in text_string_to_metric_families(fetch(port, "/metrics"))
        for sample in family.samples
    }


def test_speed_and_time_left_come_from_the_steps_since_the_last_look(progress, clock):
    progress.enter(RunPhase.TRAINING)
    progress.plan(total_steps=100, total_epochs=10)
    progress.advanced(20, epoch=2, batch_size=32)
    clock.now += 2
    progress.advanced(40, epoch=4, batch_size=32)
    assert progress.report.examples_per_second == "320"
    assert progress.report.estimated_remaining_seconds == 6


def test_losses_are_best_when_small_and_others_when_large(progress):
    for step, loss, accuracy in ((1, 0.5, 0.7), (2, 0.3, 0.9), (3, 0.4, 0.8)):
        progress.measured(step, {"val_loss": loss, "val_accuracy": accuracy})
    best = {m.name: (m.value, m.best, m.step) for m in progress.report.metrics}
    assert best == {"val_loss": ("0.4", "0.3", 3), "val_accuracy": ("0.8", "0.9", 3)}


def test_both_answers_tell_the_same(progress):
    progress.enter(RunPhase.TRAINING)
    progress.plan(total_steps=100, total_epochs=10)
    progress.resumed(30)
    progress.advanced(40, epoch=4, batch_size=32)
    progress.measured(40, {"loss": 0.25, "val_accuracy": 0.9})
    progress.saved(40, seconds=0.5)
    with serve_progress(progress, port=0, host="127.0.0.1") as port:
        report = ProgressReport.model_validate_json(fetch(port, "/progress"))
        gauges = samples(port)
    assert report == progress.report
    assert report.attempt == 2
    assert report.resumed_from_step == 30
    assert gauges["step", ""] == 40
    assert gauges["total_steps", ""] == 100
    assert gauges["loss", ""] == 0.25
    assert gauges["metric", "val_accuracy"] == 0.9
    assert gauges["checkpoint_step", ""] == 40
    assert gauges["checkpoint_seconds", ""] == 0.5


def test_what_is_not_known_yet_is_not_reported(progress):
    with serve_progress(progress, port=0, host="127.0.0.1") as port:
        names = {name for name, _ in samples(port)}
    assert names == {"attempt", "step", "total_steps", "epoch"}


def test_other_paths_are_not_found(progress):
    with serve_progress(progress, port=0, host="127.0.0.1") as port:
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(port, "/elsewhere")
        assert refused.value.code == 404
        refused.value.close()
