"""The last word fits into 4 KiB, and every failure has its exit code."""

import pytest

from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import FailureCategory, Reason
from modelyard.api.run import MAX_TERMINATION_BYTES, ProgressReport, RunPhase, RunResult
from modelyard.api.training import MetricValue
from modelyard.store.data import DataError
from modelyard_trainer import result
from modelyard_trainer.failures import BadConfiguration, BadData, Diverged, Interrupted
from modelyard_trainer.outcome import as_failure


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "exit_code", "category"),
    [
        (BadConfiguration("x"), 64, FailureCategory.INVALID_CONFIGURATION),
        (BadData("x"), 65, FailureCategory.DATA_ERROR),
        (Diverged("x"), 70, FailureCategory.DIVERGED),
        (Interrupted("x"), 75, FailureCategory.INTERRUPTED),
        (DataError(Reason.DIGEST_MISMATCH, "x"), 65, FailureCategory.DATA_ERROR),
        (Refused(Reason.DATA_NOT_ALLOWED, "x"), 64, FailureCategory.INVALID_CONFIGURATION),
        (Refused(Reason.INTERRUPTED, "x"), 75, FailureCategory.INTERRUPTED),
        (Refused(Reason.STORE_UNREACHABLE, "x"), 1, FailureCategory.STORE_ERROR),
        (Retry("x"), 1, FailureCategory.STORE_ERROR),
        (MemoryError(), 1, FailureCategory.OUT_OF_MEMORY),
        (ResourceExhaustedError(), 1, FailureCategory.OUT_OF_MEMORY),
        (ZeroDivisionError("x"), 1, FailureCategory.APPLICATION_ERROR),
    ],
)
def test_each_failure_has_its_exit_code_and_category(error, exit_code, category):
    failure = as_failure(error)
    assert (failure.exit_code, failure.category) == (exit_code, category)


def test_a_failure_tells_where_the_run_stood():
    report = ProgressReport(
        phase=RunPhase.TRAINING, attempt=2, step=70, resumed_from_step=40, checkpoint_step=60
    )
    told = result.failed(report, BadData("bad row", "mend it"))
    assert (told.message, told.hint) == ("bad row", "mend it")
    assert (told.last_step, told.resumed_from_step, told.checkpoint_step) == (70, 40, 60)


@pytest.mark.parametrize("letter", ["a", "ß", "語", "\n", "\U0001f600"])
def test_the_result_always_fits(letter):
    metrics = tuple(MetricValue(name="m" * 64, value="1.5", step=1) for _ in range(16))
    report = ProgressReport(phase=RunPhase.TRAINING, attempt=1, step=1, metrics=metrics)
    told = result.failed(report, BadData(letter * 3000, letter * 3000))
    text = result.result_text(told)
    assert len(text.encode()) <= MAX_TERMINATION_BYTES
    read = RunResult.model_validate_json(text)
    assert read.exit_code == 65
    assert read.message.startswith(letter * 200)


def test_a_result_is_written_only_where_the_kubelet_made_a_file(tmp_path):
    told = RunResult(exit_code=0, version=3)
    result.write_result(told, tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "log").touch()
    result.write_result(told, tmp_path / "log")
    assert RunResult.model_validate_json((tmp_path / "log").read_text()) == told
