"""The run's last word: one `RunResult` of at most 4 KiB."""

from pathlib import Path

from modelyard.api.run import MAX_TERMINATION_BYTES, ExitCode, ProgressReport, RunResult
from modelyard.api.training import MetricValue
from modelyard.api.version import EvaluationMetric
from modelyard.store.publication import Published
from modelyard_trainer.failures import RunFailed

MAX_METRICS = 16
MAX_MESSAGE = 1024


def done(
    report: ProgressReport, published: Published, metrics: tuple[EvaluationMetric, ...]
) -> RunResult:
    """Return the result of a run that published a version."""
    overall = [metric for metric in metrics if metric.slice == "overall"]
    return RunResult(
        exit_code=ExitCode.DONE,
        last_step=report.step,
        resumed_from_step=report.resumed_from_step,
        checkpoint_step=report.checkpoint_step,
        version=published.version,
        manifest_digest=published.manifest_digest,
        metrics=tuple(
            MetricValue(name=m.name, value=m.value, step=report.step) for m in overall[:MAX_METRICS]
        ),
    )


def failed(report: ProgressReport, failure: RunFailed) -> RunResult:
    """Return the result of a run that ended early."""
    return RunResult(
        exit_code=failure.exit_code,
        category=failure.category,
        message=str(failure)[:MAX_MESSAGE],
        hint=failure.hint[:MAX_MESSAGE],
        last_step=report.step or None,
        resumed_from_step=report.resumed_from_step,
        checkpoint_step=report.checkpoint_step,
        metrics=report.metrics[:MAX_METRICS],
    )


def result_text(result: RunResult) -> str:
    """Return the result as JSON of at most 4 KiB: metrics go first, then the end of the message."""
    for message, metrics in (
        (result.message, result.metrics),
        (result.message, ()),
        (result.message[: MAX_MESSAGE // 4], ()),
    ):
        hint = result.hint if message == result.message else result.hint[: MAX_MESSAGE // 4]
        fitted = result.model_copy(update={"message": message, "hint": hint, "metrics": metrics})
        text = fitted.model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) <= MAX_TERMINATION_BYTES:
            break
    return text


def write_result(result: RunResult, path: Path) -> None:
    """Write the termination message where the kubelet mounted a file for it."""
    if path.exists():
        path.write_text(result_text(result), encoding="utf-8")
