import pytest

from modelyard.api.training import ModelTrainingStatus
from modelyard.plan.draft import Draft
from modelyard.plan.progress import with_report
from tests.builders import NOW, later, make_training, report, text


def draft(now=NOW, **status):
    training = make_training({"attempt": 1, "phase": "Running", **status})
    return Draft(training.metadata, training.status, training.status, now)


def reported(**changes) -> ModelTrainingStatus:
    return with_report(make_training(), draft(), report(**changes)).status


def again(before, moment, **changes):
    """Whether a further report changes a status."""
    training = make_training()
    given = Draft(training.metadata, before, before, moment)
    return with_report(training, given, report(moment, **changes)).status != before


def test_the_first_report_is_written_whole():
    fact = report(
        examples_per_second="12.5",
        estimated_remaining_seconds=9,
        metrics=[{"name": "loss", "value": "0.5"}],
        checkpoint_step=20,
    )
    status = with_report(make_training(), draft(), fact).status
    assert (status.progress.percent, status.progress.step) == (30, 30)
    assert status.progress.last_report_time == text(NOW)
    assert status.progress.steps_per_second == "0.391"
    assert status.metrics[0].name == "loss"
    assert status.checkpoint.step == 20
    held = {c.type for c in status.conditions if c.status == "True"}
    assert held == {"Progressing", "CheckpointReady"}


@pytest.mark.parametrize(
    ("seconds", "changes", "written"),
    [
        (1, {"step": 30}, False),
        (9, {"step": 30}, False),
        (1, {"step": 31}, True),
        (1, {"step": 29}, True),
        (10, {"step": 30}, True),
        (-3600, {"step": 30}, True),
        (1, {"phase": "Evaluating"}, True),
        (1, {"attempt": 2, "step": 90}, False),
    ],
)
def test_reports_are_written_sparingly(seconds, changes, written):
    assert again(reported(), later(seconds), **changes) is written


def test_a_thousand_steps_within_a_percent_are_one_write():
    before = reported(step=30_000, total_steps=100_000)
    changed = [
        again(before, later(1), step=30_000 + n, total_steps=100_000) for n in range(0, 1000, 50)
    ]
    assert not any(changed)


@pytest.mark.parametrize(
    ("phase", "shown"),
    [
        ("Starting", "Running"),
        ("Fetching", "Running"),
        ("Training", "Running"),
        ("Evaluating", "Evaluating"),
        ("Exporting", "Registering"),
        ("Publishing", "Registering"),
    ],
)
def test_the_phase_follows_the_trainer(phase, shown):
    assert reported(phase=phase).phase == shown


def test_silence_is_unknown_and_never_a_failure_and_ends():
    silent = with_report(make_training(), draft(), report(reachable=False)).status
    (progressing,) = silent.conditions
    assert (progressing.status, progressing.reason) == ("Unknown", "ProgressUnreachable")
    assert "8080" in progressing.message
    assert again(silent, later(1), step=30)


def test_an_old_attempts_answer_is_ignored():
    assert with_report(make_training(), draft(), report(attempt=7)).status == draft().status
    assert with_report(make_training(), draft(), None).status == draft().status


@pytest.mark.parametrize(
    ("resumed", "phase", "expected"),
    [(20, "Training", (20, 10)), (None, "Training", (0, 30)), (None, "Fetching", (None, None))],
)
def test_the_next_attempt_tells_what_the_interruption_cost(resumed, phase, expected):
    entry = {"attempt": 1, "reason": "Exit75", "time": text(NOW), "lastStep": 30}
    given = draft(attempt=2, interruptions=[entry])
    fact = report(attempt=2, resumed_from_step=resumed, phase=phase)
    (after,) = with_report(make_training(), given, fact).status.interruptions
    assert (after.resumed_from_step, after.steps_lost) == expected


VALUES = [
    {"name": "loss", "value": "0.5"},
    {"name": "val_loss", "value": "0.4"},
    {"name": "val_accuracy", "value": "0.9"},
]


@pytest.mark.parametrize(
    ("name", "shown"), [("accuracy", "accuracy=0.9"), ("loss", "loss=0.4"), ("f1", None)]
)
def test_the_primary_metric_is_the_one_of_the_spec_as_last_validated(name, shown):
    training = make_training(evaluation={"primaryMetric": {"name": name}})
    status = with_report(training, draft(), report(metrics=VALUES)).status
    assert status.primary_metric == shown


def test_the_primary_metric_stays_while_a_report_has_none():
    before = draft(primaryMetric="accuracy=0.9")
    status = with_report(make_training(), before, report(metrics=[])).status
    assert status.primary_metric == "accuracy=0.9"
