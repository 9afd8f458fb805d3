"""How a rollout ends: promoted, failed, or no longer wanted. Each leaves a line in the history."""

from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.deployment import (
    ModelDeployment,
    ServedVersion,
    WarmVersion,
)
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.rollout import DONE, HistoryAction, Verb
from modelyard.plan.clock import timestamp
from modelyard.plan.conditions import bounded, no, unknown, yes
from modelyard.plan.draft import DeploymentDraft
from modelyard.plan.history import OPERATOR, Cause, remembered
from modelyard.plan.revision import block_of

REMEDY = "It is not tried again until the spec changes, or somebody orders a retry."


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version did not make it."""

    reason: Reason
    message: str
    by: str = OPERATOR


def promoted(
    deployment: ModelDeployment, draft: DeploymentDraft, canary: ServedVersion
) -> DeploymentDraft:
    """Make the canary stable; what served before stays warm for a while."""
    action = HistoryAction.PROMOTED if draft.status.stable else HistoryAction.DEPLOYED
    text = f"{canary.model_version_name} (revision {canary.revision}) serves."
    warm = _warm(deployment, draft)
    draft = remembered(deployment, draft, canary, _cause(deployment, draft, action))
    stable = canary.model_copy(update={"since": timestamp(draft.now)})
    return _over(draft, stable=stable, warm=warm, message=None).judge(
        no(ConditionType.PROGRESSING, Reason.PROMOTED, text),
        yes(ConditionType.MODEL_LOADED, Reason.LOADED, text),
        no(ConditionType.ROLLED_BACK, Reason.NOT_ROLLED_BACK, text),
    )


def failed(
    deployment: ModelDeployment, draft: DeploymentDraft, canary: ServedVersion, failure: Failure
) -> DeploymentDraft:
    """Block the canary; if it had traffic, that is a rollback."""
    text = bounded(f"{failure.message} {REMEDY}")
    stepped = draft.status.step is not None
    action = HistoryAction.ABORTED if failure.by != OPERATOR else HistoryAction.ROLLED_BACK
    cause = Cause(action, failure.message, failure.by)
    draft = remembered(deployment, draft, canary, cause)
    draft = _over(draft, blocked_version=block_of(canary), message=text)
    draft = draft.judge(no(ConditionType.PROGRESSING, failure.reason, text))
    if stepped:
        return draft.judge(yes(ConditionType.ROLLED_BACK, failure.reason, text))
    return draft.judge(no(ConditionType.MODEL_LOADED, failure.reason, text))


def superseded(
    deployment: ModelDeployment, draft: DeploymentDraft, canary: ServedVersion
) -> DeploymentDraft:
    """Let go of a canary that the spec no longer asks for."""
    name = canary.model_version_name
    text = f"The spec no longer asks for {name}: its rollout ended."
    if draft.status.step is not None:
        cause = Cause(HistoryAction.SUPERSEDED, "The spec asks for something else.")
        draft = remembered(deployment, draft, canary, cause)
    return _over(draft, analysis=(), message=None).judge(
        no(ConditionType.PROGRESSING, Reason.PENDING, text),
        unknown(ConditionType.MODEL_LOADED, Reason.PENDING, text),
    )


def _cause(deployment: ModelDeployment, draft: DeploymentDraft, action: HistoryAction) -> Cause:
    """Return who wanted a promotion, and why: the last order of this spec since the last change."""
    order, history = draft.status.last_handled_command, draft.status.history
    if order is None or order.outcome != DONE or order.verb == Verb.ABORT:
        return Cause(action)
    since = history[0].time if history else ""
    if order.time < since or order.generation != deployment.metadata.generation:
        return Cause(action)
    return Cause(action, order.reason, order.by)


def _over(draft: DeploymentDraft, **fields: object) -> DeploymentDraft:
    """Forget what belongs to a rollout only; what the checks said stays."""
    draft = draft.set(canary=None, step=None, judge=None, **fields)
    return draft.judge(no(ConditionType.PAUSED, Reason.NOT_PAUSED, "No rollout is under way."))


def _warm(deployment: ModelDeployment, draft: DeploymentDraft) -> WarmVersion | None:
    seconds, stable = deployment.spec.rollout.warm_stable_seconds, draft.status.stable
    if stable is None or not seconds:
        return None
    until = timestamp(draft.now + timedelta(seconds=seconds))
    return WarmVersion(version=stable, until=until)
