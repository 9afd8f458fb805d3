"""The decisions on a ModelDeployment: bring up, prove, move the traffic in one write, clean up.

    name a version ─► record canary ─► its pods prove themselves ─► steps, each judged ─► record it
    stable, the one before warm ─► only then do the pods of other revisions go

Roles stand in status, are written before their effect, and are the only thing that decides which
children may exist. Whatever fails before the promotion leaves the stable version untouched.
"""

from datetime import datetime

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus
from modelyard.api.reasons import ConditionType, Reason
from modelyard.plan.clock import seconds_since
from modelyard.plan.conditions import TYPES, bounded, no, yes
from modelyard.plan.core import Plan, Refusal
from modelyard.plan.draft import DeploymentDraft, Draft
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.release import Situation, released
from modelyard.plan.serving import effects
from modelyard.plan.serving_status import with_serving
from modelyard.plan.target import target_refusal, wanted_version
from modelyard.plan.traffic_status import with_traffic

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
    refusal = target_refusal(deployment, observed)
    wanted = wanted_version(deployment, observed, now)
    draft = _accepted(draft, observed.refusal or refusal)
    decided = released(Situation(deployment, observed, wanted, refusal), draft)
    decided = with_traffic(deployment, decided, observed)
    decided = _explained(decided, observed.refusal or refusal)
    if _decisions(decided.status) != _decisions(before):
        return with_serving(deployment, decided, observed).plan()
    return _settle(deployment, decided, observed)


def _settle(
    deployment: ModelDeployment, draft: DeploymentDraft, observed: DeploymentObserved
) -> Plan:
    """Plan the effects of decisions that are already recorded."""
    requeue = _next_look(deployment, draft)
    draft = with_serving(deployment, draft, observed)
    if observed.refusal:
        return draft.plan(requeue_after=requeue or REFUSAL_RETRY_SECONDS)
    return draft.plan(*effects(deployment, draft.status, observed), requeue_after=requeue)


def _next_look(deployment: ModelDeployment, draft: DeploymentDraft) -> float | None:
    """Return the seconds until time alone changes something."""
    status, waits = draft.status, list[float]()
    if status.warm is not None:
        waits.append(-seconds_since(status.warm.until, draft.now))
    if status.canary is not None and status.step is None:
        age = seconds_since(status.canary.since, draft.now)
        waits += [POLL_SECONDS, deployment.spec.server.load_deadline_seconds - age]
    routed = status.traffic is not None and status.traffic.programmed_since is None
    if status.step is not None or routed:
        waits.append(POLL_SECONDS)
    return max(1.0, min(waits)) if waits else None


def _decisions(status: ModelDeploymentStatus) -> tuple[object, ...]:
    """Return what is written before its effect, in a write of its own."""
    step = status.step
    return (
        *(role.revision if role else None for role in (status.stable, status.canary)),
        status.warm.version.revision if status.warm else None,
        (step.index, step.weight, step.ordered) if step else None,
        status.blocked_version,
        status.last_handled_command,
    )


def _accepted(draft: DeploymentDraft, refusal: Refusal | None) -> DeploymentDraft:
    if refusal is None:
        text = "The version is there and may be served."
        return draft.judge(yes(ConditionType.ACCEPTED, Reason.ACCEPTED, text))
    return draft.judge(no(ConditionType.ACCEPTED, refusal.reason, refusal.message))


def _explained(draft: DeploymentDraft, refusal: Refusal | None) -> DeploymentDraft:
    return draft.set(message=bounded(refusal.message)) if refusal else draft
