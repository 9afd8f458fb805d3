"""The decisions on a ModelDeployment: bring up, prove, move the traffic in one write, clean up.

    name a version ─► record canary ─► its pods prove themselves ─► record it stable ─► public
    Service selects it ─► only then do the pods of other revisions go

Roles stand in status, are written before their effect, and are the only thing that decides which
children may exist. Whatever fails before the promotion leaves the stable version untouched.
"""

from datetime import datetime

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.version import ModelVersion
from modelyard.plan.acceptance import store_missing
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.conditions import TYPES, bounded, holds, no, unknown, yes
from modelyard.plan.core import Plan, Refusal
from modelyard.plan.draft import Draft
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.revision import block_of, served
from modelyard.plan.rollout import Broken, Proved, judge_canary
from modelyard.plan.serving import effects
from modelyard.plan.serving_status import with_serving

DeploymentDraft = Draft[ModelDeploymentStatus]

POLL_SECONDS = 5.0
REFUSAL_RETRY_SECONDS = 60.0


def plan_deployment(
    deployment: ModelDeployment, observed: DeploymentObserved, now: datetime
) -> Plan:
    """Decide what to do about a deployment now; its children go by owner reference."""
    if deployment.metadata.deletion_timestamp is not None:
        return Plan()
    before = deployment.status
    draft = Draft(deployment.metadata, before, before, now).with_all(TYPES["ModelDeployment"])
    refusal = _target_refusal(deployment, observed)
    wanted = _wanted(deployment, observed, now)
    draft = _accepted(draft, observed.refusal or refusal)
    decided = _explained(
        _roles(deployment, draft, wanted, refusal, observed), observed.refusal or refusal
    )
    if _role_names(decided.status) != _role_names(before):
        return with_serving(deployment, decided, observed).plan()
    return _settle(deployment, decided, observed)


def _settle(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> Plan:
    """Plan the effects of roles that are already recorded."""
    canary, requeue = draft.status.canary, None
    if canary is not None:
        age = seconds_since(canary.since, draft.now)
        left = deployment.spec.server.load_deadline_seconds - age
        requeue = min(POLL_SECONDS, max(1.0, left))
    draft = with_serving(deployment, draft, observed)
    if observed.refusal:
        return draft.plan(requeue_after=requeue or REFUSAL_RETRY_SECONDS)
    return draft.plan(*effects(deployment, draft.status, observed), requeue_after=requeue)


def _role_names(status: ModelDeploymentStatus) -> tuple[str | None, str | None, str | None]:
    stable, canary = status.stable, status.canary
    return (
        stable.revision if stable else None,
        canary.revision if canary else None,
        status.blocked_version,
    )


def _wanted(
    deployment: ModelDeployment, observed: DeploymentObserved, now: datetime
) -> ServedVersion | None:
    if observed.target is None:
        return None
    return served(deployment, observed.target, timestamp(now))


def _target_refusal(deployment: ModelDeployment, observed: DeploymentObserved) -> Refusal | None:
    """Return why the version that the spec names cannot be brought up."""
    name, target = deployment.spec.model_version_name, observed.target
    if target is None:
        text = f"There is no ModelVersion {name} in this namespace: name one that exists."
        return Refusal(Reason.VERSION_NOT_FOUND, text)
    if not _ready(target):
        text = f"ModelVersion {name} is {target.status.phase}: see its conditions."
        return Refusal(Reason.VERSION_NOT_READY, text)
    store_name = target.spec.artifact.store_name
    if observed.store(store_name) is None:
        return Refusal(Reason.STORE_NOT_FOUND, store_missing(store_name))
    return None


def _ready(target: ModelVersion) -> bool:
    judged = target.status.conditions
    servable = holds(judged, ConditionType.VERIFIED) and holds(judged, ConditionType.SERVABLE)
    return servable and target.metadata.deletion_timestamp is None


def _accepted(draft: DeploymentDraft, refusal: Refusal | None) -> DeploymentDraft:
    if refusal is None:
        text = "The version is there and may be served."
        return draft.judge(yes(ConditionType.ACCEPTED, Reason.ACCEPTED, text))
    return draft.judge(no(ConditionType.ACCEPTED, refusal.reason, refusal.message))


def _explained(draft: DeploymentDraft, refusal: Refusal | None) -> DeploymentDraft:
    return draft.set(message=bounded(refusal.message)) if refusal else draft


def _roles(
    deployment: ModelDeployment,
    draft: DeploymentDraft,
    wanted: ServedVersion | None,
    refusal: Refusal | None,
    observed: DeploymentObserved,
) -> DeploymentDraft:
    """Decide who is stable and who is canary: at most one change at a time."""
    status = draft.status
    draft = _unblocked(draft, wanted)
    if status.canary is not None:
        if _abandoned(deployment, status.canary, wanted):
            return _drop(draft, status.canary)
        return _advance(deployment, draft, status.canary, observed)
    if wanted is None or _same(status.stable, wanted):
        return _at_rest(draft, wanted, refusal)
    if refusal or draft.status.blocked_version == block_of(wanted):
        return _held(draft, refusal)
    if _leftovers(status, observed):
        return draft
    return _begin(draft, wanted)


def _same(role: ServedVersion | None, wanted: ServedVersion) -> bool:
    return role is not None and role.revision == wanted.revision


def _unblocked(draft: DeploymentDraft, wanted: ServedVersion | None) -> DeploymentDraft:
    """Forget a blocked version once the spec asks for something else."""
    blocked = draft.status.blocked_version
    if blocked is None or wanted is None or blocked == block_of(wanted):
        return draft
    return draft.set(blocked_version=None)


def _abandoned(
    deployment: ModelDeployment, canary: ServedVersion, wanted: ServedVersion | None
) -> bool:
    if wanted is None:
        return canary.model_version_name != deployment.spec.model_version_name
    return not _same(canary, wanted)


def _drop(draft: DeploymentDraft, canary: ServedVersion) -> DeploymentDraft:
    name = canary.model_version_name
    text = f"The spec no longer asks for {name}: its rollout ended before it got traffic."
    return draft.set(canary=None, message=None).judge(
        no(ConditionType.PROGRESSING, Reason.PENDING, text),
        unknown(ConditionType.MODEL_LOADED, Reason.PENDING, text),
    )


def _begin(draft: DeploymentDraft, wanted: ServedVersion) -> DeploymentDraft:
    text = f"{wanted.model_version_name} (revision {wanted.revision}) is coming up."
    return draft.set(canary=wanted, message=None).judge(
        yes(ConditionType.PROGRESSING, Reason.ROLLING_OUT, text),
        unknown(ConditionType.MODEL_LOADED, Reason.LOADING, text),
    )


def _advance(
    deployment: ModelDeployment,
    draft: DeploymentDraft,
    canary: ServedVersion,
    observed: DeploymentObserved,
) -> DeploymentDraft:
    age = seconds_since(canary.since, draft.now)
    outcome = judge_canary(deployment, canary, observed, age)
    if isinstance(outcome, Proved):
        return _promote(draft, canary)
    if isinstance(outcome, Broken):
        return _block(draft, canary, outcome.reason, outcome.message)
    return draft.set(message=bounded(outcome.obstacle) or None)


def _promote(draft: DeploymentDraft, canary: ServedVersion) -> DeploymentDraft:
    text = f"{canary.model_version_name} (revision {canary.revision}) serves."
    stable = canary.model_copy(update={"since": timestamp(draft.now)})
    return draft.set(stable=stable, canary=None, message=None).judge(
        no(ConditionType.PROGRESSING, Reason.PROMOTED, text),
        yes(ConditionType.MODEL_LOADED, Reason.LOADED, text),
    )


def _block(
    draft: DeploymentDraft, canary: ServedVersion, reason: Reason, message: str
) -> DeploymentDraft:
    remedy = "It is not tried again until the spec changes."
    text = f"{message} {remedy}"
    return draft.set(canary=None, blocked_version=block_of(canary), message=bounded(text)).judge(
        no(ConditionType.PROGRESSING, reason, text),
        no(ConditionType.MODEL_LOADED, reason, text),
    )


def _at_rest(
    draft: DeploymentDraft, wanted: ServedVersion | None, refusal: Refusal | None
) -> DeploymentDraft:
    """Nothing is to come up: the wanted version serves, or nobody knows what is wanted."""
    if wanted is None:
        return _held(draft, refusal)
    text = f"{wanted.model_version_name} (revision {wanted.revision}) serves."
    return draft.set(message=None).judge(
        no(ConditionType.PROGRESSING, Reason.PROMOTED, text),
        yes(ConditionType.MODEL_LOADED, Reason.LOADED, text),
    )


def _held(draft: DeploymentDraft, refusal: Refusal | None) -> DeploymentDraft:
    """Wait for the user: the reason stands in Accepted, or in what blocked the version."""
    if refusal is None:
        return draft
    return draft.judge(
        no(ConditionType.PROGRESSING, refusal.reason, refusal.message),
        unknown(ConditionType.MODEL_LOADED, refusal.reason, refusal.message),
    )


def _leftovers(status: ModelDeploymentStatus, observed: DeploymentObserved) -> bool:
    """Tell whether a dropped canary is still there: never three revisions at once."""
    stable = status.stable.revision if status.stable else None
    return any(workload.revision != stable for workload in observed.workloads)
