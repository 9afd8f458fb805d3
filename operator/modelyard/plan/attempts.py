"""Attempts of a training: each but the first is recorded in status before its Job may exist.

Two budgets, never mixed: `maxRetries` for failures of the program, `maxInterruptions` for what was
not its fault. A new attempt waits out a pause that grows with the failures.
"""

from modelyard.api import names
from modelyard.api.reasons import ConditionType, FailureCategory, Reason
from modelyard.api.training import (
    FailureStatus,
    Interruption,
    ModelTraining,
    ModelTrainingStatus,
    TrainingPhase,
)
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.conditions import Judgement, bounded, no, unknown, yes
from modelyard.plan.draft import Draft
from modelyard.plan.failure import Failed, Interrupted
from modelyard.plan.observed import PodView

TrainingDraft = Draft[ModelTrainingStatus]

MAX_INTERRUPTIONS_KEPT = 50
MAX_LOG_TAIL = 2048
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0


def begun(training: ModelTraining) -> ModelTraining:
    """Return the training as one that has an attempt: the first, if it records none."""
    if training.status.attempt > 0:
        return training
    meta = training.metadata
    first = {"attempt": 1, "job_name": names.job_name(meta.name, meta.uid, 1)}
    status = training.status.model_copy(update=first)
    return training.model_copy(update={"status": status})


def first_attempt(training: ModelTraining, draft: TrainingDraft) -> TrainingDraft:
    """Record attempt 1."""
    return _attempt(training, draft, 1).set(start_time=timestamp(draft.now))


def after_failure(
    training: ModelTraining, draft: TrainingDraft, failure: Failed, pod: PodView | None
) -> TrainingDraft:
    """Record a failed attempt and, if it may help and the budget allows, the next one."""
    draft = draft.set(failure=_failure_status(draft.status.attempt, failure, pod))
    attempts = f"attempt {draft.status.attempt}"
    text = f"{failure.message} {failure.hint}"
    if failure.permanent or failure.category is FailureCategory.NAME_CONFLICT:
        return end(draft, failure.category, text)
    if draft.status.retries >= training.spec.max_retries:
        limit = f"after {attempts}: spec.maxRetries {training.spec.max_retries} are used up"
        return end(draft, Reason.RETRIES_EXHAUSTED, f"{limit}. {text}")
    draft = draft.set(retries=draft.status.retries + 1)
    why = unknown(ConditionType.RUNNING, Reason.RETRYING, f"{attempts} failed: {text}")
    return _next(training, draft, why, TrainingPhase.PENDING)


def after_interruption(
    training: ModelTraining, draft: TrainingDraft, interrupted: Interrupted
) -> TrainingDraft:
    """Record an interrupted attempt and, if the budget allows, the next one."""
    draft = _with_interruption(draft, interrupted)
    text = f"attempt {draft.status.attempt} was interrupted ({interrupted.reason})"
    if draft.status.interruption_count > training.spec.max_interruptions:
        limit = f"spec.maxInterruptions {training.spec.max_interruptions} are used up"
        return end(draft, Reason.INTERRUPTIONS_EXHAUSTED, f"{text}: {limit}.")
    why = unknown(ConditionType.RUNNING, Reason.INTERRUPTED, text)
    return _next(training, draft, why, TrainingPhase.INTERRUPTED)


def end(
    draft: TrainingDraft, reason: Reason | FailureCategory, message: str, *others: Judgement
) -> TrainingDraft:
    """Record that the training failed, for good."""
    rejected = reason is Reason.GATES_FAILED
    return draft.set(
        phase=TrainingPhase.REJECTED if rejected else TrainingPhase.FAILED,
        completion_time=timestamp(draft.now),
    ).judge(
        no(ConditionType.RUNNING, Reason.FINISHED),
        no(ConditionType.PROGRESSING, Reason.FINISHED),
        *others,
        no(ConditionType.COMPLETE, Reason.REJECTED if rejected else reason, message),
        yes(ConditionType.FAILED, reason, message),
    )


def pause_left(draft: TrainingDraft) -> float:
    """Return the seconds until the recorded attempt may start; 0 or less means now.

    The first repetition starts at once. Then failures pause 10, 20, 40 … 300 s, and interruptions
    10 s: the program is not at fault, but a loop that deletes pods must not spin.
    """
    running = draft.condition(ConditionType.RUNNING)
    waited = seconds_since(running.last_transition_time, draft.now)
    if waited < 0:
        return 0.0  # the clock went back: rather too early than a day too late
    return _pause(draft.status, running.reason) - waited


def _pause(status: ModelTrainingStatus, reason: str) -> float:
    match reason:
        case Reason.RETRYING if status.retries > 1:
            return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (status.retries - 2)))
        case Reason.INTERRUPTED if status.interruption_count > 1:
            return FIRST_PAUSE
    return 0.0


def _next(
    training: ModelTraining, draft: TrainingDraft, why: Judgement, phase: TrainingPhase
) -> TrainingDraft:
    draft = _attempt(training, draft, draft.status.attempt + 1)
    return draft.set(phase=phase, version=None, manifest_digest=None).judge(
        why, no(ConditionType.PROGRESSING, Reason.NOT_STARTED)
    )


def _attempt(training: ModelTraining, draft: TrainingDraft, number: int) -> TrainingDraft:
    meta = training.metadata
    return draft.set(
        attempt=number,
        job_name=names.job_name(meta.name, meta.uid, number),
        node_name=None,
        progress=None,
    )


def _with_interruption(draft: TrainingDraft, interrupted: Interrupted) -> TrainingDraft:
    status, result = draft.status, interrupted.result
    reported = status.progress.step if status.progress else None
    entry = Interruption(
        attempt=status.attempt,
        reason=bounded(interrupted.reason, 256),
        time=timestamp(draft.now),
        last_step=result.last_step if result and result.last_step is not None else reported,
    )
    return draft.set(
        interruptions=(*status.interruptions, entry)[-MAX_INTERRUPTIONS_KEPT:],
        interruption_count=status.interruption_count + 1,
    )


def _failure_status(attempt: int, failure: Failed, pod: PodView | None) -> FailureStatus:
    return FailureStatus(
        category=failure.category,
        attempt=attempt,
        exit_code=failure.exit_code,
        pod_name=bounded(pod.name, 256) if pod else None,
        node_name=bounded(pod.node_name, 256) if pod else None,
        message=bounded(failure.message),
        hint=bounded(failure.hint),
        log_tail=failure.log_tail[-MAX_LOG_TAIL:] or None,
    )
