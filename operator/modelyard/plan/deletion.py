"""The end of a ModelTraining: stop it, remove what only it needs, let it go.

Checkpoints go; the ModelVersion and its artifact stay. An artifact that never became a ModelVersion
(refused, or never reported) has no other owner, so it goes too. While the store is away the object
waits, but not for ever: after ten minutes it goes, and an Event says what was left.
"""

from datetime import datetime

from modelyard.api import names
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.training import ModelTraining
from modelyard.plan.acceptance import store_missing
from modelyard.plan.attempts import TrainingDraft
from modelyard.plan.clock import seconds_since
from modelyard.plan.conditions import TYPES, bounded, no
from modelyard.plan.core import Event, Plan, Refusal, RemoveRun
from modelyard.plan.draft import Draft
from modelyard.plan.observed import PodView, TrainingObserved
from modelyard.plan.tracking import delete_job

STORE_PATIENCE_SECONDS = 600.0
RETRY_SECONDS = 30.0


def plan_training_deletion(
    training: ModelTraining, observed: TrainingObserved, now: datetime
) -> Plan:
    """Decide the next step of a deletion."""
    if names.FINALIZER_RUN_DATA not in training.metadata.finalizers:
        return Plan()
    draft = Draft(training.metadata, training.status, training.status, now)
    draft = draft.with_all(TYPES["ModelTraining"])
    running = [pod for pod in observed.pods if not pod.finished]
    if observed.jobs or running:
        return _stop(training, draft, observed, running)
    refusal = _store_refusal(training, observed)
    if refusal:
        return _without_store(training, draft, refusal)
    return Plan(actions=(_removal(training, observed),), remove_finalizer=names.FINALIZER_RUN_DATA)


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
    if observed.run.state == "Unreachable":
        text = f"What this training left in the store cannot be removed: {observed.run.message}"
        return Refusal(Reason.STORE_UNREACHABLE, text)
    return observed.refusal


def _without_store(training: ModelTraining, draft: TrainingDraft, refusal: Refusal) -> Plan:
    """Keep trying for a while, then let go and say what was left behind.

    The while begins with the first failure, not with the deletion: a pod may have taken its time.
    """
    held = draft.condition(ConditionType.ACCEPTED)
    waited = seconds_since(held.last_transition_time, draft.now)
    if held.status != "False" or waited < STORE_PATIENCE_SECONDS:
        blocked = no(ConditionType.ACCEPTED, refusal.reason, refusal.message)
        return draft.judge(blocked).plan(requeue_after=RETRY_SECONDS)
    meta, model = training.metadata, training.spec.model_name
    text = (
        f"What this training left in the store was not removed: its checkpoints and whatever it "
        f"published that is no ModelVersion. Look below {meta.namespace}/{model}/ for the run "
        f"{meta.uid}. {refusal.message}"
    )
    event = Event("Warning", refusal.reason.value, bounded(text))
    return Plan(remove_finalizer=names.FINALIZER_RUN_DATA, events=(event,))


def _removal(training: ModelTraining, observed: TrainingObserved) -> RemoveRun:
    meta, spec = training.metadata, training.spec
    return RemoveRun(
        store_name=spec.store_name,
        namespace=meta.namespace,
        model=spec.model_name,
        training_uid=meta.uid,
        keep_version=observed.run.version if observed.taken_over else None,
    )
