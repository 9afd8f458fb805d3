"""The latency check: is the canary slower than the allowed multiple of stable?"""

from dataclasses import dataclass, field, replace
from math import log

from modelyard.api.serve import LATENCY_BUCKETS
from modelyard.plan.judge.counters import Counters
from modelyard.plan.judge.verdicts import LEANING, Finding, Verdict
from modelyard.plan.statistics.ranks import Ranks, rank, shifted, slowdown

Z = 1.96
"""Bound of the interval around the reported slowdown: 95 % at one look."""


@dataclass(frozen=True, slots=True)
class LatencyLimits:
    """What the user allows."""

    max_slowdown: float = 1.15
    """How many times as long as on stable a request may take."""
    alpha: float = 0.001
    """Probability of failing a good canary, whatever happens."""
    min_samples: int = 300
    """Canary requests before it can pass."""


@dataclass(frozen=True, slots=True)
class LatencyState:
    """What the latency check remembers."""

    ranks: Ranks = field(default_factory=Ranks)
    stable: tuple[int, ...] = (0,) * LATENCY_BUCKETS
    canary: tuple[int, ...] = (0,) * LATENCY_BUCKETS


def take(
    state: LatencyState, stable: Counters, canary: Counters, limits: LatencyLimits
) -> LatencyState:
    """Take in one interval: stable is shifted by what is allowed, then the ranks are compared."""
    allowed = shifted(stable.latency, limits.max_slowdown)
    return LatencyState(
        state.ranks.plus(rank(allowed, canary.latency)),
        _sum(state.stable, stable.latency),
        _sum(state.canary, canary.latency),
    )


def evidence(state: LatencyState) -> float:
    """Return the log of the evidence that requests and intervals agree on."""
    return min(state.ranks.log_e(), state.ranks.interval_log_e())


def refuted(state: LatencyState, limits: LatencyLimits) -> bool:
    """Tell whether the evidence suffices to fail the canary."""
    return evidence(state) >= -log(limits.alpha)


def judge(state: LatencyState, limits: LatencyLimits) -> Finding:
    """Judge the latencies so far."""
    samples = sum(state.canary)
    if not samples or not sum(state.stable):
        text = "no request was timed on both sides"
        return Finding(Verdict.NEED_MORE_DATA, text, needed=limits.min_samples)
    ratio, low, high = slowdown(state.stable, state.canary, Z)
    finding = Finding(
        Verdict.NEED_MORE_DATA,
        f"canary takes {ratio:.2f} times as long (95 % interval {low:.2f} to {high:.2f})",
        value=ratio,
        bound=limits.max_slowdown,
        log_e=evidence(state),
        samples=samples,
        needed=limits.min_samples,
    )
    if refuted(state, limits):
        text = f"{finding.message}: more than {limits.max_slowdown:g}"
        return replace(finding, verdict=Verdict.FAIL, message=text)
    if finding.log_e >= log(LEANING):
        return replace(finding, message=f"{finding.message}: it leans against the canary")
    if samples < limits.min_samples:
        return replace(finding, message=f"{finding.message}: {limits.min_samples} are needed")
    return replace(finding, verdict=Verdict.PASS)


def _sum(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))
