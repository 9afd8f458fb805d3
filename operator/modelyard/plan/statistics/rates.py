"""Shares of requests: bounds of one, and a sequential test of two against each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, lgamma, log

from modelyard.plan.statistics.dispersion import Counts, Moments

TINY = 1e-12


def rate_bounds(failed: float, total: float, alpha: float) -> tuple[float, float]:
    """Return bounds that hold the true rate at every look with probability `1 - alpha`.

    Robbins' beta mixture of the binomial likelihood (Robbins, "Statistical methods related to the
    law of the iterated logarithm", Ann. Math. Stat. 41, 1970) with Jeffreys' prior: a rate is ruled
    out once the mixture is `1 / alpha` times as likely as it is. Counts may be fractions.

    >>> low, high = rate_bounds(3, 1000, 0.01)
    >>> round(low, 5), round(high, 5)
    (7e-05, 0.01628)
    """
    if total <= 0:
        return 0.0, 1.0
    mixture = _log_beta(failed + 0.5, total - failed + 0.5) - _log_beta(0.5, 0.5)
    observed = failed / total

    def ruled_out(rate: float) -> bool:
        return mixture - _log_likelihood(failed, total, rate) >= -log(alpha)

    low = 0.0 if not ruled_out(0.0) else _bisect(ruled_out, 0.0, observed)
    high = 1.0 if not ruled_out(1.0) else _bisect(ruled_out, 1.0, observed)
    return low, high


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_likelihood(failed: float, total: float, rate: float) -> float:
    """Return the log-likelihood of `failed` of `total`; rates of 0 and 1 are allowed."""
    value = 0.0
    for count, share in ((failed, rate), (total - failed, 1 - rate)):
        if count > 0:
            value += count * log(share) if share > 0 else -inf
    return value


def _bisect(ruled_out: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return the edge between a rate that is ruled out and one that is not."""
    for _ in range(50):
        middle = (outside + inside) / 2
        if ruled_out(middle):
            outside = middle
        else:
            inside = middle
    return outside


RATIOS = (1.5, 2.5, 5.0, 12.0, 40.0)
"""Alternatives: the canary's odds of failure over those that the margin allows."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Log-likelihood ratios against H0 so far, one for each of `RATIOS`."""

    gains: tuple[float, ...] = (0.0,) * len(RATIOS)
    largest: tuple[float, ...] = (0.0,) * len(RATIOS)
    """The largest gain of a single block."""
    second: tuple[float, ...] = (0.0,) * len(RATIOS)
    """The largest gain of all other blocks."""

    def log_e(self) -> float:
        """Return the log of the e-value: the mean over the alternatives.

        For independent requests under H0 it ever reaches `log(1 / alpha)` with probability `alpha`
        at most, however often one looks (Ville's inequality).
        """
        return _log_mean(self.gains)

    def guarded_log_e(self, design_effect: float) -> float:
        """Return the log of the e-value that requests which fail together cannot raise.

        It must not hinge on one block (the loudest counts for half of the second loudest), and each
        request counts for as little as `design_effect` says. Not exact: simulation shows what it
        holds.
        """
        sums = zip(self.gains, self.largest, self.second, strict=True)
        return _log_mean([(gain - most + next_ / 2) / design_effect for gain, most, next_ in sums])


def weigh(
    evidence: Evidence, past: Moments, block: tuple[Counts, Counts], margin: float
) -> Evidence:
    """Return the evidence after one block of stable and canary outcomes.

    The e-variable of Turner, Ly and Grünwald ("Generic E-variables for exact sequential k-sample
    tests that allow for optional stopping", J. Stat. Plan. Inference 230, 2024): the likelihood of
    an alternative over that of the point of H0 nearest to it in relative entropy. H0 is convex, so
    its expectation under any point of H0 is 1 at most, whatever the sizes of the blocks. The
    alternatives are learnt from stable's `past`, which must not contain `block`; a block without
    a past only teaches.
    """
    if past.total <= 0 or min(side.total for side in block) <= 0:
        return evidence
    base = (past.failed + 0.5) / (past.total + 1)
    gains = [_gain(base, ratio, block, margin) for ratio in RATIOS]
    return Evidence(
        tuple(old + new for old, new in zip(evidence.gains, gains, strict=True)),
        tuple(map(max, evidence.largest, gains)),
        tuple(
            max(second, min(largest, gain))
            for second, largest, gain in zip(evidence.second, evidence.largest, gains, strict=True)
        ),
    )


def _log_mean(logs: Sequence[float]) -> float:
    """Return the log of the mean of numbers given by their logs."""
    top = max(logs)
    return top + log(sum(exp(value - top) for value in logs) / len(logs))


def _gain(base: float, ratio: float, block: tuple[Counts, Counts], margin: float) -> float:
    """Return the log-likelihood ratio of one block for one alternative."""
    stable, canary = block
    allowed = min(base + margin, 1 - TINY)
    odds = allowed / (1 - allowed) * ratio
    raised = odds / (1 + odds)
    null = _nearest(base, raised, stable.total / (stable.total + canary.total), margin)
    return (
        _log_likelihood(stable.failed, stable.total, base)
        - _log_likelihood(stable.failed, stable.total, null)
        + _log_likelihood(canary.failed, canary.total, raised)
        - _log_likelihood(canary.failed, canary.total, null + margin)
    )


def _nearest(stable: float, canary: float, share: float, margin: float) -> float:
    """Return stable's rate at the point of H0's edge nearest to the alternative.

    `share` is stable's part of the block. Where the slope of the weighted relative entropy is 0.
    """

    def slope(rate: float) -> float:
        raised = rate + margin
        return share * (rate - stable) / (rate * (1 - rate)) + (1 - share) * (raised - canary) / (
            raised * (1 - raised)
        )

    low, high = TINY, 1 - margin - TINY
    for _ in range(40):
        middle = (low + high) / 2
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
