"""The decisions on a ModelTraining: one attempt after another until a version exists.

    record attempt n ──► create its Job ──► track its pod ──► record the result ──► register
          ▲                                      │                                    │
          └───────── failed or interrupted ◄─────┴────────────── store lost it ◄──────┘

An attempt is written before its Job may exist, except the first: that it is number 1 follows from
there being none. A Job is created at most once per attempt (`Running` leaves Unknown with it); the
next attempt waits until no earlier pod can run. A terminal condition is final, whatever happens to
the children.
"""

from dataclasses import replace
from datetime import datetime

from modelyard.api import names
from modelyard.api.reasons import ConditionType, FailureCategory, Reason
from modelyard.api.store import StoreSettings
from modelyard.api.training import ModelTraining
from modelyard.plan.acceptance import no_store, refusal_of
from modelyard.plan.attempts import TrainingDraft, after_failure, begun, first_attempt
from modelyard.plan.conditions import TYPES, holds, no, unknown, yes
from modelyard.plan.core import Plan, Refusal
from modelyard.plan.deletion import plan_training_deletion
from modelyard.plan.draft import Draft
from modelyard.plan.failure import TRAINER, Done, Failed, ending_of, failed
from modelyard.plan.observed import JobView as Job
from modelyard.plan.observed import PodView as Pod
from modelyard.plan.observed import TrainingNeeds, TrainingObserved
from modelyard.plan.registration import plan_registration
from modelyard.plan.tracking import current_job, last_pod, plan_attempt, settled, started

REFUSAL_RETRY_SECONDS = 60.0


def terminal(training: ModelTraining) -> bool:
    """Tell whether the training has ended for good."""
    conditions = training.status.conditions
    return holds(conditions, ConditionType.COMPLETE) or holds(conditions, ConditionType.FAILED)


def training_needs(
    training: ModelTraining, jobs: tuple[Job, ...], pods: tuple[Pod, ...]
) -> TrainingNeeds:
    """Tell which facts beyond the watch caches the next planning needs."""
    status = training.status
    if training.metadata.deletion_timestamp is not None:
        quiet = _quiet(jobs, pods)
        return TrainingNeeds(run=quiet, guard=quiet, live=quiet)
    if terminal(training):
        return TrainingNeeds()
    if status.version is not None:
        return TrainingNeeds(manifest=True)
    return _attempt_needs(begun(training), jobs, pods)


def _attempt_needs(
    training: ModelTraining, jobs: tuple[Job, ...], pods: tuple[Pod, ...]
) -> TrainingNeeds:
    pod, present = last_pod(training, pods), current_job(training, jobs)
    if pod is None:
        ended = present is None or present.complete or present.failed
        over = settled(training, jobs, pods)
        return TrainingNeeds(live=ended and _quiet((), pods), run=over)
    if settled(training, jobs, pods):
        ending = ending_of(pod, present)
        log_of = pod.name if isinstance(ending, Failed) else None
        return TrainingNeeds(log_of=log_of, run=not isinstance(ending, Done))
    trainer = pod.container(TRAINER)
    answers = trainer is not None and trainer.running and bool(pod.pod_ip)
    return TrainingNeeds(progress_of=pod.name if answers else None)


def _quiet(jobs: tuple[Job, ...], pods: tuple[Pod, ...]) -> bool:
    """Tell whether the caches show nothing that could still run; they may be behind."""
    return not jobs and all(pod.finished for pod in pods)


def plan_training(training: ModelTraining, observed: TrainingObserved, now: datetime) -> Plan:
    """Decide what to do about a training now."""
    if training.metadata.deletion_timestamp is not None:
        return plan_training_deletion(training, observed, now)
    if terminal(training):
        return Plan(add_finalizer=_missing_finalizer(training))
    draft = Draft(training.metadata, training.status, training.status, now).with_all(
        TYPES["ModelTraining"]
    )
    store = observed.store
    if store is None:
        return draft.judge(no_store(training)).plan()
    not_accepted = refusal_of(training, store)
    if not_accepted:
        return draft.judge(not_accepted).plan()
    training, draft = _accepted(training, draft)
    if observed.refusal:
        return _refused(training, draft, observed.refusal)
    return _guarded(training, _accepted_plan(training, draft, observed, store))


def _accepted(training: ModelTraining, draft: TrainingDraft) -> tuple[ModelTraining, TrainingDraft]:
    """Return the training and the draft with an attempt, and `Accepted`."""
    if training.status.attempt == 0:
        draft = first_attempt(training, draft)
    if not draft.holds(ConditionType.ACCEPTED):
        draft = draft.judge(yes(ConditionType.ACCEPTED, Reason.ACCEPTED))
    return begun(training), draft


def _accepted_plan(
    training: ModelTraining,
    draft: TrainingDraft,
    observed: TrainingObserved,
    store: StoreSettings,
) -> Plan:
    if training.status.version is not None:
        return plan_registration(training, draft, observed)
    return plan_attempt(training, draft, observed, store)


def _guarded(training: ModelTraining, plan: Plan) -> Plan:
    """Add the finalizer to the plan unless the training has it: there will be run data."""
    return replace(plan, add_finalizer=_missing_finalizer(training))


def _missing_finalizer(training: ModelTraining) -> str | None:
    present = names.FINALIZER_RUN_DATA in training.metadata.finalizers
    return None if present else names.FINALIZER_RUN_DATA


def _refused(training: ModelTraining, draft: TrainingDraft, refusal: Refusal) -> Plan:
    """Show why the last plan could not be executed; only a name that is taken is final."""
    if refusal.reason is Reason.NAME_CONFLICT:
        failure = failed(FailureCategory.NAME_CONFLICT, refusal.message)
        return after_failure(training, draft, failure, None).plan()
    if training.status.version is not None:
        draft = draft.judge(no(ConditionType.REGISTERED, refusal.reason, refusal.message))
    elif not started(draft.status):
        draft = draft.judge(unknown(ConditionType.RUNNING, refusal.reason, refusal.message))
    return draft.plan(requeue_after=REFUSAL_RETRY_SECONDS)
