"""One recorded attempt, from its Job's creation to the end of its pod.

`Running` is Unknown exactly while the attempt is recorded but its Job was never created. The Job's
creation and `Running=False/Starting` are one plan; so a Job that is missing later was deleted by
somebody, and is never created a second time.
"""

from dataclasses import replace

from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.store import StoreSettings
from modelyard.api.training import ModelTraining, ModelTrainingStatus, TrainingPhase
from modelyard.plan.attempts import (
    TrainingDraft,
    after_failure,
    after_interruption,
    pause_left,
)
from modelyard.plan.conditions import no, state, unknown
from modelyard.plan.core import Create, Delete, Plan
from modelyard.plan.failure import TRAINER, Done, Interrupted, ending_of, published
from modelyard.plan.manifests.job import training_job
from modelyard.plan.observed import JobView, PodView, TrainingObserved
from modelyard.plan.pods import obstacle
from modelyard.plan.progress import starting, with_report
from modelyard.plan.registration import record_result

JOB_IDENTITY = ("metadata.name",)


def current_job(training: ModelTraining, jobs: tuple[JobView, ...]) -> JobView | None:
    """Return the Job of the recorded attempt, or None."""
    return next((job for job in jobs if job.name == training.status.job_name), None)


def last_pod(training: ModelTraining, pods: tuple[PodView, ...]) -> PodView | None:
    """Return the pod that tells how the attempt ended: the one that succeeded, if any did."""
    own = [pod for pod in pods if pod.attempt == training.status.attempt]
    return max(own, key=lambda pod: (_succeeded(pod), pod.finished, pod.name), default=None)


def settled(training: ModelTraining, jobs: tuple[JobView, ...], pods: tuple[PodView, ...]) -> bool:
    """Tell whether the recorded attempt was started and nothing of it can run any more."""
    if any(not p.finished for p in pods if p.attempt == training.status.attempt):
        return False
    job = current_job(training, jobs)
    return job.complete or job.failed if job is not None else started(training.status)


def started(status: ModelTrainingStatus) -> bool:
    """Tell whether the Job of the recorded attempt was ever created."""
    return state(status.conditions, ConditionType.RUNNING) != "Unknown"


def plan_attempt(
    training: ModelTraining,
    draft: TrainingDraft,
    observed: TrainingObserved,
    store: StoreSettings,
) -> Plan:
    """Start, follow, or conclude the recorded attempt."""
    job = current_job(training, observed.jobs)
    if job is None and not started(draft.status):
        return _start(training, draft, observed, store)
    pod = last_pod(training, observed.pods)
    if settled(training, observed.jobs, observed.pods):
        return _conclude(training, draft, observed, pod)
    if job is None or job.deleting:
        return _stopping(draft, pod).plan()
    return _follow(training, draft, observed, pod).plan()


def _start(
    training: ModelTraining,
    draft: TrainingDraft,
    observed: TrainingObserved,
    store: StoreSettings,
) -> Plan:
    wait = pause_left(draft)
    if wait > 0:
        return draft.plan(requeue_after=wait)
    blockers = [pod for pod in observed.pods if not pod.finished]
    live = [job for job in observed.jobs if not (job.complete or job.failed)]
    if live or blockers:
        return _held(training, draft, live, blockers)
    job = training_job(training, draft.status.attempt, store, observed.images)
    return _without_pod(draft).plan(Create(job, JOB_IDENTITY))


def _held(
    training: ModelTraining, draft: TrainingDraft, live: list[JobView], blockers: list[PodView]
) -> Plan:
    """End what is left of earlier attempts, and wait for it."""
    namespace = training.metadata.namespace
    deletions = (delete_job(namespace, job) for job in live if not job.deleting)
    if not blockers:
        return draft.plan(*deletions)
    reason = Reason(draft.condition(ConditionType.RUNNING).reason)
    where = f"pod {blockers[0].name} on node {blockers[0].node_name or '(none yet)'}"
    text = f"Attempt {draft.status.attempt} waits for {where} of an earlier attempt to stop."
    return draft.judge(unknown(ConditionType.RUNNING, reason, text)).plan(*deletions)


def delete_job(namespace: str, job: JobView) -> Delete:
    """Return the deletion of exactly this Job; its pods go with it."""
    return Delete("batch/v1", "Job", namespace, job.name, job.uid)


def _conclude(
    training: ModelTraining, draft: TrainingDraft, observed: TrainingObserved, pod: PodView | None
) -> Plan:
    job = current_job(training, observed.jobs)
    ending = published(observed.run) or ending_of(pod, job)
    if isinstance(ending, Done):
        return record_result(training, draft, ending, pod).plan()
    if isinstance(ending, Interrupted):
        return after_interruption(training, draft, ending).plan()
    ending = replace(ending, log_tail=observed.log_tail or ending.log_tail)
    return after_failure(training, draft, ending, pod).plan()


def _stopping(draft: TrainingDraft, pod: PodView | None) -> TrainingDraft:
    where = f" waits for pod {pod.name} on node {pod.node_name}" if pod else ""
    text = f"Job {draft.status.job_name} was deleted by somebody: the attempt{where} to stop."
    return draft.judge(no(ConditionType.RUNNING, Reason.INTERRUPTED, text))


def _follow(
    training: ModelTraining, draft: TrainingDraft, observed: TrainingObserved, pod: PodView | None
) -> TrainingDraft:
    if pod is None:
        return _without_pod(draft)
    draft = draft.set(node_name=pod.node_name or None)
    trainer = pod.container(TRAINER)
    if pod.finished or (trainer is not None and trainer.exit_code is not None):
        return draft
    if trainer is not None and trainer.running:
        return with_report(training, draft, pod, observed.progress)
    found = obstacle(pod, training.spec.store_name)
    if found is not None:
        draft = starting(draft, found.reason, found.message)
        return draft.set(phase=TrainingPhase.PENDING)
    if not pod.node_name:
        return starting(draft, Reason.SCHEDULING, f"Pod {pod.name} waits for a node.")
    text = f"Pod {pod.name} is starting on node {pod.node_name}."
    return starting(draft, Reason.PULLING_IMAGE, text)


def _without_pod(draft: TrainingDraft) -> TrainingDraft:
    """Say that the Job was created: in one write, until there is more to say."""
    text = f"Job {draft.status.job_name} has no pod yet."
    return starting(draft, Reason.SCHEDULING, text)


def _succeeded(pod: PodView) -> bool:
    trainer = pod.container(TRAINER)
    return trainer is not None and trainer.exit_code == 0
