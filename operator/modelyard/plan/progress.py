"""Progress of the running attempt: what its trainer answered, written sparingly.

A report is written when it says something new that a person would notice (one percent, another
phase) or when the last one is ten seconds old: 500 trainings must not become 500 writes a second.
"""

from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.run import RunPhase, RunResult
from modelyard.api.training import (
    CheckpointStatus,
    Interruption,
    ModelTraining,
    TrainingPhase,
    TrainingProgress,
)
from modelyard.plan.attempts import TrainingDraft
from modelyard.plan.clock import moment_of, timestamp
from modelyard.plan.conditions import no, unknown, yes
from modelyard.plan.observed import PodView, ProgressFact
from modelyard.plan.shown import printed, steps_per_second

REPORT_INTERVAL = 10.0
WHOLE = 100
VALIDATION = "val_"
"""What a trainer puts before the name of a metric that it measures after each epoch."""

_REACH = "If this lasts, check that network policies let the operator reach port 8080."

_PHASES = {
    RunPhase.STARTING: TrainingPhase.STARTING,
    RunPhase.FETCHING: TrainingPhase.STARTING,
    RunPhase.TRAINING: TrainingPhase.RUNNING,
    RunPhase.EVALUATING: TrainingPhase.EVALUATING,
    RunPhase.EXPORTING: TrainingPhase.REGISTERING,
    RunPhase.PUBLISHING: TrainingPhase.REGISTERING,
}

_REASONS = {
    RunPhase.TRAINING: Reason.TRAINING,
    RunPhase.EVALUATING: Reason.EVALUATING,
    RunPhase.EXPORTING: Reason.PUBLISHING,
    RunPhase.PUBLISHING: Reason.PUBLISHING,
}
"""Why an attempt counts as running; in phases that are not here, no step can be done yet."""


def percent(step: int, total: int) -> int:
    """Return the share of steps done, rounded down; 100 only when all are done.

    >>> [percent(step, 300) for step in (0, 2, 3, 299, 300, 301)]
    [0, 0, 1, 99, 100, 100]
    """
    return min(WHOLE, step * WHOLE // total) if total > 0 else 0


def with_report(
    training: ModelTraining, draft: TrainingDraft, pod: PodView, fact: ProgressFact | None
) -> TrainingDraft:
    """Return the draft with what the trainer in a running pod last answered."""
    if fact is None:
        text = f"Pod {pod.name} runs and has not said yet what it does. {_REACH}"
        return draft if draft.holds(ConditionType.RUNNING) else _fetching(draft, text)
    if not fact.reachable:
        text = f"Pod {pod.name} does not answer; the training goes on. {_REACH}"
        return draft.judge(unknown(ConditionType.PROGRESSING, Reason.PROGRESS_UNREACHABLE, text))
    if not _due(draft, fact):
        return draft
    draft = _checkpoint(_written(training, draft, fact), fact)
    reason, phase = _REASONS.get(fact.report.phase), fact.report.phase.lower()
    if reason is None:
        return _fetching(draft, f"Pod {pod.name} is {phase}.")
    return _resumed_from(draft, fact.report.resumed_from_step or 0).judge(
        yes(ConditionType.RUNNING, reason, f"Pod {pod.name} is {phase}."),
        yes(ConditionType.PROGRESSING, Reason.STEPS_ADVANCING, f"The trainer is {phase}."),
    )


def when_done(training: ModelTraining, draft: TrainingDraft, result: RunResult) -> TrainingDraft:
    """Return the draft of a finished run: all steps done, the last values in place."""
    before, epochs = draft.status.progress, training.spec.recipe.epochs
    steps = result.last_step or (before.total_steps if before else 0)
    done = TrainingProgress(
        step=steps,
        total_steps=steps,
        epoch=epochs,
        total_epochs=epochs,
        percent=WHOLE,
        examples_per_second=before.examples_per_second if before else None,
        steps_per_second=before.steps_per_second if before else None,
        last_report_time=timestamp(draft.now),
    )
    draft = draft.set(progress=done, metrics=result.metrics or draft.status.metrics)
    return _resumed_from(draft, result.resumed_from_step)


def _due(draft: TrainingDraft, fact: ProgressFact) -> bool:
    before, report = draft.status.progress, fact.report
    if before is None or draft.status.phase != _PHASES[report.phase]:
        return True
    if draft.state(ConditionType.PROGRESSING) == "Unknown":
        return True
    age = (moment_of(fact.time) - moment_of(before.last_report_time)).total_seconds()
    return percent(report.step, report.total_steps) != before.percent or abs(age) >= REPORT_INTERVAL


def _written(training: ModelTraining, draft: TrainingDraft, fact: ProgressFact) -> TrainingDraft:
    report, recipe = fact.report, training.spec.recipe
    primary = training.spec.evaluation.primary_metric.name
    measured = next((m for m in report.metrics if m.name == VALIDATION + primary), None)
    progress = TrainingProgress(
        step=report.step,
        total_steps=report.total_steps,
        epoch=report.epoch,
        total_epochs=report.total_epochs,
        percent=percent(report.step, report.total_steps),
        estimated_remaining_seconds=report.estimated_remaining_seconds,
        examples_per_second=report.examples_per_second,
        steps_per_second=steps_per_second(report.examples_per_second, recipe.batch_size),
        last_report_time=fact.time,
    )
    return draft.set(
        phase=_PHASES[report.phase],
        progress=progress,
        metrics=report.metrics or draft.status.metrics,
        primary_metric=(
            printed(primary, measured.value) if measured else draft.status.primary_metric
        ),
    )


def _checkpoint(draft: TrainingDraft, fact: ProgressFact) -> TrainingDraft:
    step, before = fact.report.checkpoint_step, draft.status.checkpoint
    if step is None:
        text = "No checkpoint is complete yet."
        none_yet = no(ConditionType.CHECKPOINT_READY, Reason.NONE_YET, text)
        return draft.judge(none_yet) if before is None else draft
    if before is None or before.step != step:
        draft = draft.set(checkpoint=CheckpointStatus(step=step, time=fact.time))
    return draft.judge(yes(ConditionType.CHECKPOINT_READY, Reason.SAVED, "A run can resume."))


def _resumed_from(draft: TrainingDraft, step: int | None) -> TrainingDraft:
    """Complete the interruption that the present attempt recovers from."""
    *earlier, last = draft.status.interruptions or (None,)
    if step is None or last is None or last.attempt != draft.status.attempt - 1:
        return draft
    return draft.set(interruptions=(*earlier, _recovered(last, step)))


def _recovered(interruption: Interruption, step: int) -> Interruption:
    last = interruption.last_step
    lost = max(0, last - step) if last is not None else None
    return interruption.model_copy(update={"resumed_from_step": step, "steps_lost": lost})


def starting(draft: TrainingDraft, reason: Reason, text: str) -> TrainingDraft:
    """Return the draft of an attempt that does no steps yet, for this reason."""
    return draft.set(phase=TrainingPhase.STARTING).judge(
        no(ConditionType.RUNNING, reason, text),
        no(ConditionType.PROGRESSING, Reason.NOT_STARTED),
    )


def _fetching(draft: TrainingDraft, text: str) -> TrainingDraft:
    return starting(draft, Reason.FETCHING_DATA, text)
