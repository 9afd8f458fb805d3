"""The end of a ModelTraining: stop it, remove what only it needs, let it go.

Checkpoints go; the ModelVersion and its artifact stay. An artifact that never became a ModelVersion
(refused, or registered too late) has no other owner, so it goes too.
"""

from datetime import datetime

from modelyard.api import names
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion
from modelyard.plan.acceptance import store_missing
from modelyard.plan.attempts import TrainingDraft
from modelyard.plan.clock import seconds_since
from modelyard.plan.conditions import bounded, holds, no
from modelyard.plan.core import Action, Event, Plan, Refusal, RemoveArtifact, RemoveRun
from modelyard.plan.draft import Draft
from modelyard.plan.failure import Done, ending_of
from modelyard.plan.observed import PodView, TrainingObserved
from modelyard.plan.registration import record_result
from modelyard.plan.tracking import delete_job, last_pod

STORE_PATIENCE_SECONDS = 600.0
RETRY_SECONDS = 30.0


def unregistered(training: ModelTraining) -> int | None:
    """Return the published version number that no status calls registered, or None."""
    registered = holds(training.status.conditions, ConditionType.REGISTERED)
    return None if registered else training.status.version


def plan_training_deletion(
    training: ModelTraining, observed: TrainingObserved, now: datetime
) -> Plan:
    """Decide the next step of a deletion.

    A result that nobody has recorded yet is recorded first: without the number of its artifact
    nothing could ever remove it.
    """
    if names.FINALIZER_RUN_DATA not in training.metadata.finalizers:
        return Plan()
    draft = Draft(training.metadata, training.status, training.status, now)
    last = last_pod(training, observed.pods)
    ending = ending_of(last) if last and last.finished else None
    if last and isinstance(ending, Done) and training.status.version is None:
        return record_result(training, draft, ending, last).plan()
    running = [pod for pod in observed.pods if not pod.finished]
    if observed.jobs or running:
        return _stop(training, draft, observed, running)
    refusal = _store_refusal(training, observed)
    if refusal:
        return _without_store(training, draft, refusal)
    return Plan(actions=_removals(training, observed), remove_finalizer=names.FINALIZER_RUN_DATA)


def _stop(
    training: ModelTraining,
    draft: TrainingDraft,
    observed: TrainingObserved,
    running: list[PodView],
) -> Plan:
    namespace = training.metadata.namespace
    deletions = tuple(delete_job(namespace, job) for job in observed.jobs if not job.deleting)
    if deletions or not running:
        return Plan(actions=deletions)
    text = f"Deletion waits for pod {running[0].name} on node {running[0].node_name} to stop."
    return draft.judge(no(ConditionType.RUNNING, Reason.FINISHED, text)).plan()


def _store_refusal(training: ModelTraining, observed: TrainingObserved) -> Refusal | None:
    if observed.store is None:
        return Refusal(Reason.STORE_NOT_FOUND, store_missing(training.spec.store_name))
    return observed.refusal


def _without_store(training: ModelTraining, draft: TrainingDraft, refusal: Refusal) -> Plan:
    """Keep trying for a while, then let go and say what was left behind."""
    since = training.metadata.deletion_timestamp or ""
    if seconds_since(since, draft.now) < STORE_PATIENCE_SECONDS:
        blocked = no(ConditionType.ACCEPTED, refusal.reason, refusal.message)
        return draft.judge(blocked).plan(requeue_after=RETRY_SECONDS)
    text = (
        f"Checkpoints below _runs/{training.metadata.uid}/ of model {training.spec.model_name} "
        f"were not removed: {refusal.message}"
    )
    event = Event("Warning", refusal.reason.value, bounded(text))
    return Plan(remove_finalizer=names.FINALIZER_RUN_DATA, events=(event,))


def _removals(training: ModelTraining, observed: TrainingObserved) -> tuple[Action, ...]:
    meta, spec, status = training.metadata, training.spec, training.status
    run = RemoveRun(spec.store_name, meta.namespace, spec.model_name, meta.uid)
    version, digest = unregistered(training), status.manifest_digest
    if version is None or digest is None or _taken_over(observed.version, digest):
        return (run,)
    return (
        run,
        RemoveArtifact(spec.store_name, meta.namespace, spec.model_name, version, digest),
    )


def _taken_over(version: ModelVersion | None, digest: str) -> bool:
    """Tell whether a ModelVersion owns the artifact: its creation outran the status."""
    return version is not None and version.spec.artifact.manifest_digest == digest
