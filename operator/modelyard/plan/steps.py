"""The steps of a rollout: hold a weight until the checks pass, wait for a person, end early.

    step i: weight in force ─► held, checks pass ─► step i+1 ─► … ─► Promote
                     └──── crashed, check failed, budget spent, too slow ───► Fail

Pure decisions about one step; `plan.deployment` records what follows.
"""

from dataclasses import dataclass
from datetime import datetime

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.rollout import ALL_WEIGHT, CheckStatus, OnNoData, RolloutStep, StepStatus
from modelyard.plan.clock import seconds_since
from modelyard.plan.gateway import canary_weight, programmed
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.rollout import facts_of, memory_text, servers_of, short_of_memory, workload_of
from modelyard.plan.traffic import selection, split

FOR_A_PERSON = ("Resume", "Promote")
"""What only a person can do."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay; `word` says what for."""

    word: str
    otherwise: str = ""
    """Why the rollout ends if it lasts beyond the deadline; empty waits for as long as it takes."""


@dataclass(frozen=True, slots=True)
class Next:
    """The step is done."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The rollout is over."""

    reason: Reason
    message: str


Decision = Wait | Next | Fail


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Seconds since the step began, and since its weight is in force (None: it is not)."""

    step: float
    held: float | None


def entered(
    deployment: ModelDeployment, index: int, before: StepStatus | None, time: str
) -> StepStatus:
    """Return the record of a step that begins; a pause keeps the weight it finds.

    An index beyond the last step, which an edit of the spec may have moved, means the last one.
    """
    steps = deployment.spec.rollout.whole()
    index = min(index, len(steps) - 1)
    weight = steps[index].weight or (before.weight if before else 0)
    return StepStatus(
        index=index,
        of=len(steps),
        shown=f"{index + 1}/{len(steps)}",
        weight=weight,
        restarts=before.restarts if before else 0,
        since=time,
    )


def is_last(deployment: ModelDeployment, step: StepStatus) -> bool:
    """Tell whether only the promotion can follow, by the steps that the spec has now."""
    return step.index + 1 >= len(deployment.spec.rollout.whole()) and step.weight == ALL_WEIGHT


def last_by_order(deployment: ModelDeployment, before: StepStatus | None, time: str) -> StepStatus:
    """Return the record of the last step, neither held nor judged: somebody wants it so."""
    step = entered(deployment, len(deployment.spec.rollout.whole()) - 1, before, time)
    return step.model_copy(update={"ordered": True})


def restarts_of(version: ServedVersion, observed: DeploymentObserved) -> int:
    """Count how often servers of a version have started again."""
    return sum(server.restarts for _, server in servers_of(version, observed))


def in_force(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    """Tell whether the canary has its pods, and Service and routes say what the step says."""
    selected = selection(deployment, observed) == split(deployment, status).selection
    return (
        ready_for(deployment, status, observed)
        and selected
        and _routed(deployment, status, observed)
    )


def _routed(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    """Tell whether every gateway follows the step; without a gateway the Service is all."""
    if deployment.spec.traffic.gateway is None or status.step is None:
        return True
    weight = canary_weight(deployment, status, observed)
    return weight == status.step.weight and programmed(deployment, status, observed)


def ready_for(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    """Tell whether the canary has as many ready pods as its weight needs."""
    canary, wanted = status.canary, split(deployment, status).canary_replicas
    workload = workload_of(canary, observed) if canary else None
    return workload is not None and workload.ready_replicas >= wanted


def decide(
    deployment: ModelDeployment,
    status: ModelDeploymentStatus,
    step: StepStatus,
    observed: DeploymentObserved,
    elapsed: Elapsed,
) -> Decision:
    """Decide about the present step."""
    failure = (
        _crashed(status, step, observed)
        or _refuted(status)
        or _overspent(deployment, status, observed)
    )
    if failure:
        return failure
    if deployment.spec.paused:
        return Wait("Resume")
    steps = deployment.spec.rollout.whole()
    spec = steps[min(step.index, len(steps) - 1)]
    if spec.pause is not None and not step.ordered:
        return Wait("Promote")
    missing = _missing(deployment, status, observed, elapsed)
    decision = missing or (Next() if step.ordered else _held(deployment, status, spec, elapsed))
    left = deployment.spec.rollout.progress_deadline_seconds + spec.hold_seconds - elapsed.step
    if isinstance(decision, Wait) and decision.otherwise and left <= 0:
        return _too_slow(decision.otherwise)
    return decision


def _missing(
    deployment: ModelDeployment,
    status: ModelDeploymentStatus,
    observed: DeploymentObserved,
    elapsed: Elapsed,
) -> Wait | None:
    """Return what keeps the weight from being in force.

    Routes must say it at every look: a canary that lost pods since has less than its weight.
    """
    gateway = deployment.spec.traffic.gateway is not None
    if elapsed.held is not None and (not gateway or in_force(deployment, status, observed)):
        return None
    if not gateway or not ready_for(deployment, status, observed):
        return Wait("Traffic", "its traffic is not in force")
    said = (c.message for c in status.conditions if c.type == ConditionType.TRAFFIC_PROGRAMMED)
    return Wait("Gateway", f"its traffic is not in force: {next(said, '')}".rstrip(".: "))


def elapsed_of(step: StepStatus, now: datetime) -> Elapsed:
    """Return how long a step has lasted."""
    held = seconds_since(step.held_since, now) if step.held_since else None
    return Elapsed(seconds_since(step.since, now), held)


def _held(
    deployment: ModelDeployment,
    status: ModelDeploymentStatus,
    spec: RolloutStep,
    elapsed: Elapsed,
) -> Decision:
    """Decide about a step whose weight is in force."""
    if elapsed.held is None or elapsed.held < spec.hold_seconds:
        return Wait("Hold")
    open_checks = [check for check in status.analysis if check.verdict != "Pass"]
    unjudged = not _analysed(deployment, status) or open_checks
    no_data = _without_data(deployment, status) if unjudged else None
    division = _division(deployment, status)
    if isinstance(no_data, Fail) or division is None:
        return no_data or (_checking(open_checks) if unjudged else Next())
    return division


def _checking(open_checks: list[CheckStatus]) -> Wait:
    why = "; ".join(check.message for check in open_checks) or "there was no traffic to judge"
    return Wait("Checks", why)


def _division(deployment: ModelDeployment, status: ModelDeploymentStatus) -> Wait | None:
    """Return why requests are not known to be divided as the routes say.

    Without steps the new version gets all at once, and nothing is to be compared.
    """
    spec, traffic = deployment.spec, status.traffic
    if traffic is None or not spec.rollout.steps or not spec.replicas:
        return None
    match traffic.verdict:
        case "Agrees":
            return None
        case "Differs":
            return Wait("Split", f"requests are not divided as they should: {traffic.message}")
        case _:
            analysis = spec.rollout.analysis
            if analysis is not None and analysis.on_no_data is OnNoData.PASS:
                return None
            return Wait("Requests", "too few requests came through the gateway to see the split")


def _analysed(deployment: ModelDeployment, status: ModelDeploymentStatus) -> bool:
    return deployment.spec.rollout.analysis is None or bool(status.analysis)


def _without_data(deployment: ModelDeployment, status: ModelDeploymentStatus) -> Decision | None:
    """Return what the spec wants when no request was judged; None if some were."""
    analysis = deployment.spec.rollout.analysis
    if analysis is None or any(check.samples for check in status.analysis):
        return None
    match analysis.on_no_data:
        case OnNoData.PASS:
            return Next()
        case OnNoData.FAIL:
            return Fail(Reason.NO_DATA, "There was no traffic to judge while the step was held.")
        case _:
            return None


def _too_slow(why: str) -> Fail:
    text = f"The step did not end within its deadline: {why.rstrip('.')}."
    return Fail(Reason.PROGRESS_DEADLINE_EXCEEDED, text)


def _refuted(status: ModelDeploymentStatus) -> Fail | None:
    failed = next((check for check in status.analysis if check.verdict == "Fail"), None)
    if failed is not None:
        return Fail(Reason.ANALYSIS_FAILED, f"Check {failed.name} failed: {failed.message}.")
    return None


def _overspent(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> Fail | None:
    """Return that more requests have failed than a rollout may cost.

    Counted where they failed: what pods took with them that are gone is not in the sum.
    """
    most, canary = deployment.spec.rollout.max_failed_canary_requests, status.canary
    if most is None or canary is None:
        return None
    told = (fact.counters for fact in facts_of(canary, observed) if fact.counters)
    failed = sum(counters.server_errors for counters in told)
    if failed < most:
        return None
    text = f"{failed} requests of the new version failed, and maxFailedCanaryRequests is {most}."
    return Fail(Reason.BUDGET_SPENT, text)


def _crashed(
    status: ModelDeploymentStatus, step: StepStatus, observed: DeploymentObserved
) -> Fail | None:
    """Return why requests must have been lost that no counter knows of.

    A server that dies takes the counts of what it failed with it, so one crash after the canary has
    proved itself is enough.
    """
    canary = status.canary
    if canary is None or restarts_of(canary, observed) <= step.restarts:
        return None
    pod, server = max(servers_of(canary, observed), key=lambda found: found[1].restarts)
    if short_of_memory(server):
        text = memory_text(canary, pod)
        return Fail(Reason.OUT_OF_MEMORY, f"{text}. The requests it had are lost.")
    cause = server.termination_reason or "no reason given"
    text = f"The server of pod {pod.name} crashed (exit code {server.exit_code}: {cause})"
    return Fail(Reason.CANARY_CRASHED, f"{text}, and lost the requests it had.")
