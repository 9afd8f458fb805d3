"""From a committed manifest to a ModelVersion: check, judge the gates, register.

Nothing here depends on pods: number and digest stand in status, so a lost pod, a restart of the
operator, or a store that is away for an hour only delay the verdict.
"""

from modelyard.api import names
from modelyard.api.gates import judge_gates, overall, refusal_text
from modelyard.api.manifest import Manifest
from modelyard.api.reasons import ConditionType, FailureCategory, Reason
from modelyard.api.training import EvaluationStatus, ModelTraining, TrainingPhase
from modelyard.plan.attempts import TrainingDraft, after_failure, end
from modelyard.plan.clock import timestamp
from modelyard.plan.conditions import no, unknown, yes
from modelyard.plan.core import Create, Plan
from modelyard.plan.failure import Done, failed
from modelyard.plan.manifests.model_version import IDENTITY, model_version
from modelyard.plan.observed import ManifestFact, PodView, TrainingObserved
from modelyard.plan.progress import when_done
from modelyard.plan.shown import printed

STORE_RETRY_SECONDS = 15.0


def record_result(
    training: ModelTraining, draft: TrainingDraft, done: Done, pod: PodView | None
) -> TrainingDraft:
    """Record what the trainer published, so that its pod is needed no more."""
    draft = when_done(training, draft, done.result)
    return draft.set(
        phase=TrainingPhase.REGISTERING,
        version=done.version,
        manifest_digest=done.manifest_digest,
        node_name=pod.node_name if pod else draft.status.node_name,
    ).judge(
        no(ConditionType.RUNNING, Reason.FINISHED, "The trainer finished."),
        no(ConditionType.PROGRESSING, Reason.FINISHED),
    )


def plan_registration(
    training: ModelTraining, draft: TrainingDraft, observed: TrainingObserved
) -> Plan:
    """Decide on the recorded version by its manifest."""
    fact = observed.manifest
    if fact.state == "Unreachable":
        return _unreachable(draft, fact)
    manifest = fact.found
    if manifest is None:
        said = f"The trainer announced version {training.status.version}, but its manifest is"
        return _lost(training, draft, f"{said} {fact.state}: {fact.message}")
    foreign = _foreign(training, manifest)
    if foreign:
        return _lost(training, draft, foreign)
    return _verdict(training, draft, observed, manifest)


def _unreachable(draft: TrainingDraft, fact: ManifestFact) -> Plan:
    waiting = unknown(
        ConditionType.EVALUATED,
        Reason.STORE_UNREACHABLE,
        f"The result waits in the store, which does not answer: {fact.message}",
    )
    return draft.judge(waiting).plan(requeue_after=STORE_RETRY_SECONDS)


def _lost(training: ModelTraining, draft: TrainingDraft, problem: str) -> Plan:
    failure = failed(FailureCategory.STORE_ERROR, problem)
    return after_failure(training, draft, failure, None).plan()


def _foreign(training: ModelTraining, manifest: Manifest) -> str:
    """Say whose manifest it is, empty if it is the one that the trainer announced."""
    meta, version = training.metadata, training.status.version
    expected = (meta.uid, meta.namespace, training.spec.model_name, version)
    found = (manifest.source.uid, manifest.namespace, manifest.model_name, manifest.version)
    if found != expected:
        return (
            f"The manifest of version {version} belongs to version {manifest.version} of training "
            f"{manifest.source.name} and model {manifest.namespace}/{manifest.model_name}."
        )
    return ""


def _verdict(
    training: ModelTraining, draft: TrainingDraft, observed: TrainingObserved, manifest: Manifest
) -> Plan:
    asked = training.spec.evaluation
    evaluation, name = judge_gates(asked, manifest.metrics), asked.primary_metric.name
    measured = overall(asked, manifest.metrics).get(name)
    shown = printed(name, measured) if measured else draft.status.primary_metric
    draft = draft.set(evaluation=evaluation, primary_metric=shown)
    if evaluation.verdict == "Failed":
        return _rejected(draft, evaluation)
    pod = next((p for p in observed.pods if p.attempt == draft.status.attempt), None)
    child = model_version(training, manifest, observed.manifest.digest, pod)
    return _registered(training, draft, manifest).plan(Create(child, IDENTITY))


def _rejected(draft: TrainingDraft, evaluation: EvaluationStatus) -> Plan:
    message = f"The model was refused: {refusal_text(evaluation)}."
    return end(
        draft,
        Reason.GATES_FAILED,
        message,
        no(ConditionType.EVALUATED, Reason.GATES_FAILED, message),
        no(ConditionType.REGISTERED, Reason.REJECTED, "A refused model gets no ModelVersion."),
    ).plan()


def _registered(training: ModelTraining, draft: TrainingDraft, manifest: Manifest) -> TrainingDraft:
    name = names.version_name(training.spec.model_name, manifest.version)
    gates = len(training.spec.evaluation.gates)
    return draft.set(
        phase=TrainingPhase.SUCCEEDED,
        model_version_name=name,
        completion_time=timestamp(draft.now),
        failure=None,
    ).judge(
        yes(ConditionType.EVALUATED, Reason.GATES_PASSED, f"{gates} of {gates} gates passed."),
        yes(ConditionType.REGISTERED, Reason.VERSION_CREATED, f"ModelVersion {name} exists."),
        yes(ConditionType.COMPLETE, Reason.SUCCEEDED, f"Training became ModelVersion {name}."),
        no(ConditionType.FAILED, Reason.SUCCEEDED),
    )
