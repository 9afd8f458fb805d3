"""The error check: does the canary fail more often than stable and the margin allow?"""

from dataclasses import dataclass, field, replace
from math import log

from modelyard.plan.judge.counters import Counters
from modelyard.plan.judge.verdicts import LEANING, Finding, Verdict
from modelyard.plan.statistics.dispersion import Counts, Moments
from modelyard.plan.statistics.rates import Evidence, rate_bounds, weigh

RELATIVE, CALLERS, ABSOLUTE = 0.8, 0.1, 0.1
"""How alpha is shared: server errors against stable's, callers' errors, the absolute bound."""

ENOUGH = 10_000_000
"""Requests beyond which no estimate of what is still needed is given."""


@dataclass(frozen=True, slots=True)
class ErrorLimits:
    """What the user allows."""

    max: float
    """Error ratio that the canary must stay below in any case."""
    margin: float = 0.002
    """How much higher than stable's its error ratio may be."""
    alpha: float = 0.01
    """Probability of failing a good canary, whatever happens."""
    min_samples: int = 300
    """Canary requests before it can pass."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of failure on both sides, over all intervals so far."""

    stable: Moments = field(default_factory=Moments)
    canary: Moments = field(default_factory=Moments)
    evidence: Evidence = field(default_factory=Evidence)

    def plus(self, stable: Counts, canary: Counts, margin: float) -> "Comparison":
        """Take in one interval."""
        weighed = weigh(self.evidence, self.stable, (stable, canary), margin)
        return Comparison(self.stable.plus(stable), self.canary.plus(canary), weighed)

    @property
    def design_effect(self) -> float:
        """The larger of both sides': bursts hit either, and the rare side cannot show its own."""
        return max(self.stable.cautious_design_effect, self.canary.cautious_design_effect)

    def log_e(self) -> float:
        """Log of the evidence that survives bursts, too."""
        return min(self.evidence.log_e(), self.evidence.guarded_log_e(self.design_effect))


@dataclass(frozen=True, slots=True)
class ErrorState:
    """What the error check remembers."""

    server: Comparison = field(default_factory=Comparison)
    callers: Comparison = field(default_factory=Comparison)


def take(state: ErrorState, stable: Counters, canary: Counters, limits: ErrorLimits) -> ErrorState:
    """Take in one interval."""
    return replace(
        state,
        server=state.server.plus(
            Counts(stable.server_errors, stable.requests),
            Counts(canary.server_errors, canary.requests),
            limits.margin,
        ),
        callers=state.callers.plus(
            Counts(stable.client_errors, stable.requests),
            Counts(canary.client_errors, canary.requests),
            limits.margin,
        ),
    )


def refuted(state: ErrorState, limits: ErrorLimits) -> str | None:
    """Return why the canary has failed, in numbers; None if nothing proves it."""
    canary = state.server.canary
    if _bounds(state, canary, limits)[0] > limits.max:
        stable_low, _ = _bounds(state, state.server.stable, limits)
        blame = "; stable is above it, too" if stable_low > limits.max else ""
        return f"{_rates(state)}: above {limits.max:.2%}{blame}"
    if state.server.log_e() >= -log(limits.alpha * RELATIVE):
        return f"{_rates(state)}: more than stable's and the margin {limits.margin:.2%}"
    if state.callers.log_e() >= -log(limits.alpha * CALLERS):
        return _callers(state)
    return None


def judge(state: ErrorState, limits: ErrorLimits) -> Finding:
    """Judge the errors so far.

    A canary that stays within the absolute bound passes although stable is broken: the comparison
    cannot fail it then, and the finding says which side is to blame.
    """
    canary, log_e = state.server.canary, state.server.log_e()
    finding = Finding(
        Verdict.NEED_MORE_DATA,
        _rates(state),
        value=canary.rate,
        bound=limits.max,
        log_e=log_e,
        samples=int(canary.total),
    )
    refutation = refuted(state, limits)
    if refutation:
        return replace(finding, verdict=Verdict.FAIL, message=refutation)
    needed = _needed(canary.rate, state.server.design_effect, limits)
    if log_e >= log(LEANING):
        text = f"{finding.message}: it leans against the canary"
        return replace(finding, message=text, needed=needed)
    if canary.total < limits.min_samples or _bounds(state, canary, limits)[1] >= limits.max:
        text = f"{finding.message}: {_wanted(needed)}"
        return replace(finding, message=text, needed=needed)
    return replace(finding, verdict=Verdict.PASS, needed=needed)


def _bounds(state: ErrorState, side: Moments, limits: ErrorLimits) -> tuple[float, float]:
    """Return bounds of one side's error ratio, wide enough for failures that come together."""
    effect = state.server.design_effect
    return rate_bounds(side.failed / effect, side.total / effect, limits.alpha * ABSOLUTE)


def _rates(state: ErrorState) -> str:
    canary, stable = state.server.canary, state.server.stable
    return (
        f"canary fails {canary.rate:.2%} of {canary.total:.0f} requests, "
        f"stable {stable.rate:.2%} of {stable.total:.0f}"
    )


def _wanted(needed: int) -> str:
    return f"{needed} are needed" if needed < ENOUGH else "too many for the bound"


def _callers(state: ErrorState) -> str:
    canary, stable = state.callers.canary, state.callers.stable
    return (
        f"canary refuses {canary.rate:.2%} of {canary.total:.0f} requests as wrong, stable "
        f"{stable.rate:.2%} of {stable.total:.0f}: has the signature changed?"
    )


def _needed(rate: float, effect: float, limits: ErrorLimits) -> int:
    """Return how many requests bring the upper bound below the limit at this rate of failures."""
    if rate >= limits.max:
        return ENOUGH

    def settled(total: float) -> bool:
        counted = total / effect
        return rate_bounds(rate * counted, counted, limits.alpha * ABSOLUTE)[1] < limits.max

    high = max(1, limits.min_samples)
    while not settled(high) and high < ENOUGH:
        high *= 2
    low = max(limits.min_samples, high // 2)
    while low < high:
        middle = (low + high) // 2
        if settled(middle):
            high = middle
        else:
            low = middle + 1
    return min(high, ENOUGH)
