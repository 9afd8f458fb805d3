"""One look at the counters of a rollout's pods, and what the checks say of all looks so far."""

from math import exp

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.rollout import Analysis, Check, CheckStatus, JudgeRecord
from modelyard.plan.clock import seconds_since, timestamp
from modelyard.plan.conditions import bounded
from modelyard.plan.draft import Draft
from modelyard.plan.judge.counters import Counters, added
from modelyard.plan.judge.errors import ErrorLimits
from modelyard.plan.judge.latency import LatencyLimits
from modelyard.plan.judge.looks import Limits, findings, look
from modelyard.plan.judge.state import JudgeState
from modelyard.plan.judge.verdicts import Finding
from modelyard.plan.manifests.serving_deployment import SERVER
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.rollout import facts_of, pods_of

MAX_EXPONENT = 50.0
UNBOUNDED = 10_000_000


def judging(deployment: ModelDeployment) -> bool:
    """Tell whether the counters of the pods are needed now."""
    rollout, gateway = deployment.spec.rollout, deployment.spec.traffic.gateway
    readers = (rollout.analysis, rollout.max_failed_canary_requests, gateway)
    return deployment.status.step is not None and any(reader is not None for reader in readers)


def limits_of(analysis: Analysis) -> Limits:
    """Read the numbers of the checks; the last check of a kind counts."""
    limits = Limits()
    for check in analysis.checks:
        limits = Limits(
            errors=_error_limits(check) or limits.errors,
            latency=_latency_limits(check) or limits.latency,
        )
    return limits


def looked(
    deployment: ModelDeployment,
    draft: Draft[ModelDeploymentStatus],
    canary: ServedVersion,
    observed: DeploymentObserved,
) -> Draft[ModelDeploymentStatus]:
    """Return the draft after a look, if one is due and every pod has told its counters."""
    analysis, record = deployment.spec.rollout.analysis, draft.status.judge
    stable = draft.status.stable
    if analysis is None or stable is None:
        return draft
    elapsed = seconds_since(record.time, draft.now) if record else 0.0
    if record and elapsed < analysis.interval_seconds:
        return draft
    sides = counters_of(stable, observed), counters_of(canary, observed)
    if sides[0] is None or sides[1] is None:
        return draft
    limits = limits_of(analysis)
    state = look(_state(record), sides[0], sides[1], elapsed, limits)
    found = findings(state, limits)
    return draft.set(
        judge=JudgeRecord(time=timestamp(draft.now), state=state.dump()),
        analysis=tuple(_status(check, found[_kind(check)], state) for check in analysis.checks),
    )


def counters_of(version: ServedVersion, observed: DeploymentObserved) -> Counters | None:
    """Add up what a version's servers have answered; None while one of them does not tell."""
    pods = pods_of(version, observed)
    told = {fact.pod_uid: fact.counters for fact in facts_of(version, observed)}
    servers = []
    for pod in pods:
        counters, server = told.get(pod.uid), pod.container(SERVER)
        if counters is None or server is None:
            return None
        servers.append((f"{pod.uid}/{server.restarts}", counters))
    return added(servers) if servers else None


def _state(record: JudgeRecord | None) -> JudgeState:
    """Read the record; one that another release wrote differently is begun anew."""
    try:
        return JudgeState.load(record.state) if record else JudgeState()
    except ValueError:
        return JudgeState()


def _kind(check: Check) -> str:
    return "errors" if check.error_rate else "latency"


def _error_limits(check: Check) -> ErrorLimits | None:
    spec = check.error_rate
    if spec is None:
        return None
    return ErrorLimits(float(spec.max), float(spec.margin), float(spec.alpha), spec.min_samples)


def _latency_limits(check: Check) -> LatencyLimits | None:
    spec = check.latency
    if spec is None:
        return None
    return LatencyLimits(float(spec.max_slowdown), float(spec.alpha), spec.min_samples)


def _status(check: Check, finding: Finding, state: JudgeState) -> CheckStatus:
    return CheckStatus(
        name=check.name,
        verdict=finding.verdict.value,
        value=_number(finding.value),
        bound=_number(finding.bound),
        evidence=f"{exp(min(finding.log_e, MAX_EXPONENT)):.3g}",
        samples=finding.samples,
        needed=finding.needed,
        eta_seconds=_eta(finding, state),
        message=bounded(finding.message),
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _eta(finding: Finding, state: JudgeState) -> int | None:
    """Return the seconds until enough requests have come, at the rate so far."""
    missing = finding.needed - finding.samples
    if missing <= 0 or finding.needed >= UNBOUNDED or not finding.samples or not state.seconds:
        return None
    return round(missing / finding.samples * state.seconds)
