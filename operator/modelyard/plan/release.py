"""Who is stable, canary and warm: at most one change at a time, each recorded before its effect."""

from dataclasses import dataclass

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.rollout import DONE, StepStatus, Verb
from modelyard.plan import steps
from modelyard.plan.analysis import looked
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.commands import IDLE, UNKNOWN, Command, pending
from modelyard.plan.conditions import bounded, no, unknown, yes
from modelyard.plan.core import Refusal
from modelyard.plan.draft import DeploymentDraft
from modelyard.plan.endings import Failure, failed, promoted, superseded
from modelyard.plan.gating import exempt, judge_release, refused_by
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.revision import block_of
from modelyard.plan.rollout import Broken, Proved, judge_canary
from modelyard.plan.split import split_looked
from modelyard.plan.traffic import recorded

SOMEBODY = "somebody"


@dataclass(frozen=True, slots=True)
class Situation:
    """A deployment, its world, the version that it names, and what stands in that one's way."""

    deployment: ModelDeployment
    observed: DeploymentObserved
    wanted: ServedVersion | None
    refusal: Refusal | None


def released(here: Situation, draft: DeploymentDraft) -> DeploymentDraft:
    """Return the draft after the next decision, which may be none."""
    command = pending(here.deployment.metadata, draft.status.last_handled_command)
    if command is not None:
        return _ordered(here, draft, command)
    draft = _cooled(_unblocked(draft, here.wanted))
    canary = draft.status.canary
    if canary is None:
        return _at_rest(here, draft)
    if _abandoned(here, canary):
        return superseded(here.deployment, draft, canary)
    if draft.status.step is not None:
        return _stepped(here, draft, canary, draft.status.step)
    return _loading(here, draft, canary)


def _ordered(here: Situation, draft: DeploymentDraft, command: Command) -> DeploymentDraft:
    """Do what somebody ordered, and record that it was looked at."""
    canary, step = draft.status.canary, draft.status.step
    match command.verb:
        case Verb.ABORT if canary is not None:
            text = f"Aborted by {command.by or SOMEBODY}. {command.reason}".strip()
            failure = Failure(Reason.ABORTED, text, command.by or SOMEBODY)
            draft = failed(here.deployment, draft, canary, failure)
        case Verb.PROMOTE if step is not None:
            draft = _entered(here, draft, step.index + 1)
        case Verb.PROMOTE_FULL if step is not None:
            time = timestamp(draft.now)
            draft = draft.set(step=steps.last_by_order(here.deployment, step, time))
        case Verb.RETRY if draft.status.blocked_version is not None:
            draft = draft.set(blocked_version=None)
        case Verb.UNDO:
            pass  # the spec has gone back already
        case None:
            return draft.set(last_handled_command=command.handled(UNKNOWN, draft.now))
        case _:
            return draft.set(last_handled_command=command.handled(IDLE, draft.now))
    return draft.set(last_handled_command=command.handled(DONE, draft.now))


def _unblocked(draft: DeploymentDraft, wanted: ServedVersion | None) -> DeploymentDraft:
    """Forget a blocked version once the spec asks for something else."""
    blocked = draft.status.blocked_version
    if blocked is None or wanted is None or blocked == block_of(wanted):
        return draft
    text = "The spec asks for something else."
    return draft.set(blocked_version=None).judge(
        no(ConditionType.ROLLED_BACK, Reason.NOT_ROLLED_BACK, text)
    )


def _cooled(draft: DeploymentDraft) -> DeploymentDraft:
    """Let a warm version go whose time is up."""
    warm = draft.status.warm
    if warm is None or seconds_since(warm.until, draft.now) < 0:
        return draft
    return draft.set(warm=None)


def _abandoned(here: Situation, canary: ServedVersion) -> bool:
    if here.wanted is None:
        return canary.model_version_name != here.deployment.spec.model_version_name
    return canary.revision != here.wanted.revision


def _at_rest(here: Situation, draft: DeploymentDraft) -> DeploymentDraft:
    """Begin what is wanted, unless it serves already or something stands in its way."""
    wanted, status = here.wanted, draft.status
    if wanted is None:
        return _held(draft, here.refusal)
    if status.stable is not None and status.stable.revision == wanted.revision:
        text = f"{wanted.model_version_name} (revision {wanted.revision}) serves."
        if not draft.holds(ConditionType.GATES_PASSED):
            draft = draft.set(gates=())
        return draft.set(message=None).judge(
            no(ConditionType.PROGRESSING, Reason.PROMOTED, text),
            yes(ConditionType.GATES_PASSED, Reason.GATES_PASSED, text),
            yes(ConditionType.MODEL_LOADED, Reason.LOADED, text),
        )
    if here.refusal or status.blocked_version == block_of(wanted):
        return _held(draft, here.refusal)
    gated = _gated(here, draft, wanted)
    return _begun(here, gated, wanted) if gated.holds(ConditionType.GATES_PASSED) else gated


def _gated(here: Situation, draft: DeploymentDraft, wanted: ServedVersion) -> DeploymentDraft:
    """Judge the gates; a version that they refuse gets no pod."""
    kind, gates = ConditionType.GATES_PASSED, here.deployment.spec.rollout.gates
    free = exempt(draft.status, wanted) if gates else "There are no gates."
    if free:
        return draft.set(gates=()).judge(yes(kind, Reason.GATES_PASSED, free))
    serving, target = here.observed.serving, here.observed.target
    if serving is None or target is None:
        text = "The ModelVersion that serves cannot be read: the gates have nothing to compare."
        return draft.judge(unknown(kind, Reason.VERSION_NOT_FOUND, text))
    results = judge_release(gates, serving, target)
    draft, refusal = draft.set(gates=results), refused_by(results)
    if not refusal:
        return draft.judge(yes(kind, Reason.GATES_PASSED, "All gates passed."))
    text = f"{wanted.model_version_name} is refused: {refusal}."
    return draft.set(message=bounded(text)).judge(
        no(kind, Reason.GATES_FAILED, text),
        no(ConditionType.PROGRESSING, Reason.GATES_FAILED, text),
    )


def _held(draft: DeploymentDraft, refusal: Refusal | None) -> DeploymentDraft:
    """Wait for the user: the reason stands in Accepted, or in what blocked the version."""
    if refusal is None:
        return draft
    return draft.set(gates=()).judge(
        no(ConditionType.PROGRESSING, refusal.reason, refusal.message),
        unknown(ConditionType.GATES_PASSED, refusal.reason, refusal.message),
        unknown(ConditionType.MODEL_LOADED, refusal.reason, refusal.message),
    )


def _begun(here: Situation, draft: DeploymentDraft, wanted: ServedVersion) -> DeploymentDraft:
    """Record the canary; a version that is still warm goes straight to all of the traffic."""
    warm = draft.status.warm
    if warm is not None and warm.version.revision != wanted.revision:
        return draft.set(warm=None)
    if _leftovers(draft.status, here.observed):
        return draft
    text = f"{wanted.model_version_name} (revision {wanted.revision}) is coming up."
    step = None
    if warm is not None:
        wanted = warm.version.model_copy(update={"since": wanted.since})
        text = f"{wanted.model_version_name} (revision {wanted.revision}) is loaded: back to it."
        step = steps.last_by_order(here.deployment, None, wanted.since)
    return draft.set(canary=wanted, warm=None, step=step, analysis=(), message=None).judge(
        yes(ConditionType.PROGRESSING, Reason.ROLLING_OUT, text),
        unknown(ConditionType.MODEL_LOADED, Reason.LOADING, text),
    )


def _leftovers(status: ModelDeploymentStatus, observed: DeploymentObserved) -> bool:
    """Tell whether a dropped version is still there: never three revisions at once."""
    kept = {version.revision for version in recorded(status)}
    return any(workload.revision not in kept for workload in observed.workloads)


def _loading(here: Situation, draft: DeploymentDraft, canary: ServedVersion) -> DeploymentDraft:
    age = seconds_since(canary.since, draft.now)
    outcome = judge_canary(here.deployment, canary, here.observed, age)
    if isinstance(outcome, Broken):
        failure = Failure(outcome.reason, outcome.message)
        return failed(here.deployment, draft, canary, failure)
    if not isinstance(outcome, Proved):
        return draft.set(message=bounded(outcome.obstacle) or None)
    spec = here.deployment.spec
    at_once = not spec.rollout.steps and spec.traffic.gateway is None
    if draft.status.stable is None or at_once:
        return promoted(here.deployment, draft, canary)
    text = f"{canary.model_version_name} (revision {canary.revision}) is loaded."
    return _entered(here, draft, 0).judge(yes(ConditionType.MODEL_LOADED, Reason.LOADED, text))


def _entered(here: Situation, draft: DeploymentDraft, index: int) -> DeploymentDraft:
    """Record the step that begins."""
    before, canary = draft.status.step, draft.status.canary
    step = steps.entered(here.deployment, index, before, timestamp(draft.now))
    if before is None and canary is not None:
        crashed = steps.restarts_of(canary, here.observed)
        step = step.model_copy(update={"restarts": crashed})
    text = f"Step {step.shown}: {step.weight} % of the traffic."
    return draft.set(step=step, message=None).judge(
        yes(ConditionType.PROGRESSING, Reason.STEPPING, text)
    )


def _stepped(
    here: Situation, draft: DeploymentDraft, canary: ServedVersion, step: StepStatus
) -> DeploymentDraft:
    """Look at the counters, then do what the present step calls for."""
    if step.held_since is None and steps.in_force(here.deployment, draft.status, here.observed):
        step = step.model_copy(update={"held_since": timestamp(draft.now)})
        draft = draft.set(step=step)
    if step.held_since is not None:
        draft = looked(here.deployment, draft, canary, here.observed)
        draft = split_looked(here.deployment, draft, here.observed)
    elapsed = steps.elapsed_of(step, draft.now)
    decision = steps.decide(here.deployment, draft.status, step, here.observed, elapsed)
    match decision:
        case steps.Fail(reason, message):
            return failed(here.deployment, draft, canary, Failure(reason, message))
        case steps.Next() if not steps.is_last(here.deployment, step):
            return _entered(here, draft, step.index + 1)
        case steps.Next():
            return promoted(here.deployment, draft, canary)
        case steps.Wait(word):
            return _waiting(draft, step, word)


def _waiting(draft: DeploymentDraft, step: StepStatus, word: str) -> DeploymentDraft:
    """Say what the step waits for; a person who is waited for is told by a condition."""
    draft = draft.set(step=step.model_copy(update={"waiting_for": word}))
    if word in steps.FOR_A_PERSON:
        text = f"Step {step.shown} waits for somebody to {word.lower()}."
        return draft.judge(yes(ConditionType.PAUSED, Reason.PAUSED, text))
    return draft.judge(no(ConditionType.PAUSED, Reason.NOT_PAUSED, "Nobody is waited for."))
