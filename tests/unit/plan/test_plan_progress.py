import pytest

from modelyard.api.training import ModelTrainingStatus
from modelyard.plan.conditions import TYPES
from modelyard.plan.draft import Draft
from modelyard.plan.progress import with_report
from tests.builders import NOW, conditions, later, make_training, report, running_pod, text


def draft(now=NOW, **status):
    training = make_training({"attempt": 1, "phase": "Running", **status})
    bare = Draft(training.metadata, training.status, training.status, now)
    return bare.with_all(TYPES["ModelTraining"])


def judged(status, kind):
    found = next(c for c in status.conditions if c.type == kind)
    return f"{found.status}/{found.reason}"


def told(training, given, fact):
    return with_report(training, given, running_pod(), fact).status


def reported(**changes) -> ModelTrainingStatus:
    return told(make_training(), draft(), report(**changes))


def again(before, moment, **changes):
    """Whether a further report changes a status."""
    training = make_training()
    given = Draft(training.metadata, before, before, moment)
    return told(training, given, report(moment, **changes)) != before


def test_the_first_report_is_written_whole():
    fact = report(
        examples_per_second="12.5",
        estimated_remaining_seconds=9,
        metrics=[{"name": "loss", "value": "0.5"}],
        checkpoint_step=20,
    )
    status = told(make_training(), draft(), fact)
    assert (status.progress.percent, status.progress.step) == (30, 30)
    assert status.progress.last_report_time == text(NOW)
    assert status.progress.steps_per_second == "0.391"
    assert status.metrics[0].name == "loss"
    assert status.checkpoint.step == 20
    held = {c.type for c in status.conditions if c.status == "True"}
    assert held == {"Running", "Progressing", "CheckpointReady"}


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
    ("phase", "shown", "running", "progressing"),
    [
        ("Starting", "Starting", "False/FetchingData", "False/NotStarted"),
        ("Fetching", "Starting", "False/FetchingData", "False/NotStarted"),
        ("Training", "Running", "True/Training", "True/StepsAdvancing"),
        ("Evaluating", "Evaluating", "True/Evaluating", "True/StepsAdvancing"),
        ("Exporting", "Registering", "True/Publishing", "True/StepsAdvancing"),
        ("Publishing", "Registering", "True/Publishing", "True/StepsAdvancing"),
    ],
)
def test_phase_and_conditions_follow_the_trainer(phase, shown, running, progressing):
    status = reported(phase=phase)
    assert status.phase == shown
    assert judged(status, "Running") == running
    assert judged(status, "Progressing") == progressing
    assert not again(status, later(9), phase=phase)


def test_a_checkpoint_is_missed_until_there_is_one_and_never_again():
    assert judged(reported(), "CheckpointReady") == "False/NoneYet"
    before = draft(
        checkpoint={"step": 20, "time": text(NOW)},
        conditions=conditions(CheckpointReady="True/Saved"),
    )
    assert judged(told(make_training(), before, report()), "CheckpointReady") == "True/Saved"


def test_silence_is_unknown_and_never_a_failure_and_ends():
    silent = told(make_training(), draft(), report(reachable=False))
    assert judged(silent, "Progressing") == "Unknown/ProgressUnreachable"
    assert "8080" in next(c.message for c in silent.conditions if c.type == "Progressing")
    assert again(silent, later(1), step=30)


def test_without_an_answer_a_run_is_fetching_unless_it_was_seen_running():
    held = draft(conditions=conditions(Running="True/Training"))
    assert told(make_training(), held, None) == held.status
    status = told(make_training(), draft(), None)
    assert status.phase == "Starting"
    assert judged(status, "Running") == "False/FetchingData"


@pytest.mark.parametrize(
    ("resumed", "phase", "expected"),
    [(20, "Training", (20, 10)), (None, "Training", (0, 30)), (None, "Fetching", (None, None))],
)
def test_the_next_attempt_tells_what_the_interruption_cost(resumed, phase, expected):
    entry = {"attempt": 1, "reason": "Exit75", "time": text(NOW), "lastStep": 30}
    given = draft(attempt=2, interruptions=[entry])
    fact = report(attempt=2, resumed_from_step=resumed, phase=phase)
    (after,) = told(make_training(), given, fact).interruptions
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
    status = told(training, draft(), report(metrics=VALUES))
    assert status.primary_metric == shown


def test_the_primary_metric_stays_while_a_report_has_none():
    before = draft(primaryMetric="accuracy=0.9")
    status = told(make_training(), before, report(metrics=[]))
    assert status.primary_metric == "accuracy=0.9"
