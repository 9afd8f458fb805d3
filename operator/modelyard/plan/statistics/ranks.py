"""Latency histograms: a sequential rank test, and how many times slower one side is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, log, log1p, pi, sqrt

TINY = 1e-12
BUCKET_GROWTH = 1.8
"""Ratio of neighbouring edges of TensorFlow Serving's latency histograms."""

INTERVAL_SCALES = (0.5, 1.5, 4.0)
"""Effects that the test of intervals is made for, in standard deviations between intervals."""

Histogram = Sequence[float]
"""Requests by latency bucket, fastest first."""

FAR_BELOW = -8.0
PRIOR_SCALE = 0.25
"""Effects that the rank test is made for, in the units of `Ranks`: 0.25 is a slowdown of an eighth
where latencies vary by a factor of 1.6."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Wilcoxon's statistic of one or more intervals: surplus of the canary's ranks."""

    surplus: float = 0.0
    variance: float = 0.0
    intervals: int = 0
    z_sum: float = 0.0
    z_squared: float = 0.0
    """Sums of the intervals' own standardised surpluses and of their squares."""

    def plus(self, other: "Ranks") -> "Ranks":
        """Add intervals: the stratified test of van Elteren (1960), each interval a stratum."""
        return Ranks(
            self.surplus + other.surplus,
            self.variance + other.variance,
            self.intervals + other.intervals,
            self.z_sum + other.z_sum,
            self.z_squared + other.z_squared,
        )

    @property
    def z(self) -> float:
        """Standardised surplus for independent requests: above 0 the canary is slower."""
        return self.surplus / sqrt(self.variance) if self.variance > 0 else 0.0

    def log_e(self) -> float:
        """Return the log of an e-value against "the canary is not slower".

        One-sided normal mixture: Robbins 1970; Howard et al., "Time-uniform, nonparametric,
        nonasymptotic confidence sequences", Ann. Stat. 49, 2021.
        """
        return _normal_mixture(self.surplus, self.variance)

    def interval_log_e(self) -> float:
        """Return the log of an e-value that takes each interval as a single observation.

        Slow moments of one side cannot raise it: their spread is measured between intervals, not
        assumed. Bayes factor of the t-test with normal priors of the effect (Gonen et al., Am.
        Stat. 59, 2005) and the right Haar prior of the spread, which makes it an e-value for any
        spread (Perez-Ortiz et al., "E-statistics, group invariance and anytime-valid testing",
        Ann. Stat. 52, 2024). A few intervals prove little, however many requests they hold:

        >>> three = Ranks(30.0, 1.0, 3, 30.0, 300.1)
        >>> round(exp(three.interval_log_e()), 1), round(exp(three.log_e())) > 10**10
        (19.1, True)
        """
        count = self.intervals
        if count <= 1 or self.z_sum <= 0:
            return 0.0
        spread = max(self.z_squared - self.z_sum**2 / count, TINY * self.z_squared)
        explained = self.z_sum**2 / count / spread
        logs = []
        for scale in INTERVAL_SCALES:
            widened = 1 + count * scale**2
            logs.append(
                count / 2 * (log1p(explained) - log1p(explained / widened)) - log(widened) / 2
            )
        return log(sum(exp(value) for value in logs) / len(logs))


def _normal_mixture(surplus: float, variance: float) -> float:
    scale = 1 + PRIOR_SCALE**2 * variance
    tilt = PRIOR_SCALE * surplus / sqrt(scale)
    return log(2) - log(scale) / 2 + tilt**2 / 2 + _log_cdf(tilt)


def rank(stable: Histogram, canary: Histogram) -> Ranks:
    """Compare two histograms by Wilcoxon's rank sum with midranks and the tie correction.

    Lehmann, "Nonparametrics: Statistical Methods Based on Ranks", 1.4. In the units of `Ranks` the
    variance of n and m requests without ties is `n m / (n + m)`.

    >>> round(rank([90, 10], [80, 20]).z, 3)
    1.975
    """
    fast, slow = sum(stable), sum(canary)
    count = fast + slow
    if fast <= 0 or slow <= 0 or count <= 1:
        return Ranks()
    below, ranks, ties = 0.0, 0.0, 0.0
    for left, right in zip(stable, canary, strict=True):
        tied = left + right
        ranks += right * (below + (tied + 1) / 2)
        ties += tied**3 - tied
        below += tied
    surplus = ranks - slow * (count + 1) / 2
    variance = fast * slow / 12 * (count + 1 - ties / (count * (count - 1)))
    if variance <= 0:
        return Ranks()
    unit = count / sqrt(12)
    surplus, variance = surplus / unit, variance / unit**2
    z = surplus / sqrt(variance)
    return Ranks(surplus, variance, 1, z, z**2)


def shifted(histogram: Histogram, ratio: float) -> tuple[float, ...]:
    """Return the histogram as if everything took `ratio` times as long (1 or more).

    The mass of a bucket is taken as spread evenly over the logarithm of time; what passes the last
    edge stays in the last bucket.

    >>> shifted([10, 0, 0], 1.8)
    (0.0, 10.0, 0.0)
    """
    steps = log(ratio) / log(BUCKET_GROWTH)
    whole = int(steps + TINY)
    part = max(0.0, steps - whole)
    moved = [0.0] * len(histogram)
    last = len(histogram) - 1
    for place, mass in enumerate(histogram):
        moved[min(place + whole, last)] += mass * (1 - part)
        moved[min(place + whole + 1, last)] += mass * part
    return tuple(moved)


def slowdown(stable: Histogram, canary: Histogram, z: float) -> tuple[float, float, float]:
    """Return how many times slower the canary is: the estimate and an interval around it.

    Inverts the rank test over shifts (Hodges and Lehmann 1963): `z` is the bound of the test, so
    1.96 gives a 95 % interval for one look. Ratios from 1/16 to 16 are told apart.

    >>> [round(ratio, 2) for ratio in slowdown([0, 500, 400, 100, 0], [0, 300, 450, 200, 50], 1.96)]
    [1.26, 1.21, 1.31]
    """

    def found(target: float) -> float:
        low, high = -4.0, 4.0  # powers of two
        for _ in range(40):
            middle = (low + high) / 2
            if _shifted_z(stable, canary, middle) > target:
                low = middle
            else:
                high = middle
        return float(2.0 ** ((low + high) / 2))

    return found(0.0), found(z), found(-z)


def _shifted_z(stable: Histogram, canary: Histogram, power: float) -> float:
    if power >= 0:
        return rank(shifted(stable, 2.0**power), canary).z
    return rank(stable, shifted(canary, 2.0**-power)).z


def _log_cdf(value: float) -> float:
    """Return the log of the normal distribution function, also far below 0."""
    if value > FAR_BELOW:
        return log(erfc(-value / sqrt(2)) / 2)
    return -(value**2) / 2 - log(-value * sqrt(2 * pi))
