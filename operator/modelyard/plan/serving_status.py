"""What the children of a deployment amount to: counts, served digests, `Ready`, the phase."""

from modelyard.api.deployment import (
    DeploymentPhase,
    ModelDeployment,
    ServedVersion,
)
from modelyard.api.reasons import ConditionType, Reason
from modelyard.plan.conditions import Judgement, no, yes
from modelyard.plan.draft import DeploymentDraft
from modelyard.plan.manifests.serving_deployment import serving_selector
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.rollout import facts_of, workload_of
from modelyard.plan.traffic import EVERY_REVISION, selection


def with_serving(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> DeploymentDraft:
    """Return the draft with everything that the children tell."""
    status = draft.status
    stable = _with_pods(status.stable, observed)
    workload = workload_of(stable, observed) if stable else None
    ready = stable.ready_replicas if stable else 0
    selector = serving_selector(deployment, stable.revision) if stable else {}
    draft = draft.set(
        stable=stable,
        canary=_with_pods(status.canary, observed),
        replicas=workload.replicas if workload else 0,
        ready_replicas=ready,
        ready=f"{ready}/{deployment.spec.replicas}",
        selector=",".join(f"{key}={value}" for key, value in sorted(selector.items())) or None,
    )
    draft = draft.judge(_ready(deployment, draft, observed))
    return draft.set(phase=_phase(deployment, draft))


def _with_pods(version: ServedVersion | None, observed: DeploymentObserved) -> ServedVersion | None:
    if version is None:
        return None
    workload = workload_of(version, observed)
    digests = {fact.digest for fact in facts_of(version, observed)}
    agreed = digests.pop() if len(digests) == 1 else None
    return version.model_copy(
        update={
            "ready_replicas": workload.ready_replicas if workload else 0,
            "served_digest": agreed or version.served_digest,
        }
    )


def _ready(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> Judgement:
    kind, stable = ConditionType.READY, draft.status.stable
    if stable is None:
        return _nothing_yet(draft)
    selected = selection(deployment, observed)
    answering = [
        version
        for version in (stable, draft.status.canary)
        if version is not None and selected in (version.revision, EVERY_REVISION)
    ]
    if not answering:
        text = f"The public Service does not select {stable.model_version_name} yet."
        return no(kind, Reason.UNAVAILABLE, text)
    text = " and ".join(version.model_version_name for version in answering)
    if deployment.spec.replicas and not any(version.ready_replicas for version in answering):
        return no(kind, Reason.UNAVAILABLE, f"No pod of {text} is ready.")
    return yes(kind, Reason.AVAILABLE, f"{text} {'answers' if len(answering) == 1 else 'answer'}.")


def _nothing_yet(draft: DeploymentDraft) -> Judgement:
    """Explain a deployment that never served by what stands in its way."""
    for kind in (ConditionType.ACCEPTED, ConditionType.MODEL_LOADED):
        cause = draft.condition(kind)
        if cause.status == "False":
            return no(ConditionType.READY, Reason(cause.reason), cause.message)
    return no(ConditionType.READY, Reason.LOADING, "No version serves yet.")


def _phase(deployment: ModelDeployment, draft: DeploymentDraft) -> DeploymentPhase:
    status = draft.status
    if status.canary is not None:
        paused = draft.holds(ConditionType.PAUSED)
        return DeploymentPhase.PAUSED if paused else DeploymentPhase.PROGRESSING
    if status.stable is None:
        return DeploymentPhase.DEGRADED if status.blocked_version else DeploymentPhase.PENDING
    full = status.ready_replicas >= deployment.spec.replicas
    reached = draft.state(ConditionType.TRAFFIC_PROGRAMMED) != "False"
    served = full and reached and draft.holds(ConditionType.READY)
    healthy = served and status.blocked_version is None
    return DeploymentPhase.HEALTHY if healthy else DeploymentPhase.DEGRADED
