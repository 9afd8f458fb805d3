"""Requests that fail together: how much less a count tells than it seems to."""

from dataclasses import dataclass

CAUTION = 3.0
"""Intervals' worth of doubt about a design effect that was measured on few of them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes of one side in one interval."""

    failed: float
    total: float


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over intervals that tell how much more than by chance their rates differ."""

    intervals: int = 0
    failed: float = 0.0
    total: float = 0.0
    failed_squared: float = 0.0
    failed_total: float = 0.0
    total_squared: float = 0.0

    def plus(self, counts: Counts) -> "Moments":
        """Return the sums with one interval more; an interval without requests tells nothing."""
        if counts.total <= 0:
            return self
        return Moments(
            self.intervals + 1,
            self.failed + counts.failed,
            self.total + counts.total,
            self.failed_squared + counts.failed**2,
            self.failed_total + counts.failed * counts.total,
            self.total_squared + counts.total**2,
        )

    @property
    def rate(self) -> float:
        """Share of requests that failed, 0 before there are any."""
        return self.failed / self.total if self.total else 0.0

    @property
    def cautious_design_effect(self) -> float:
        """The design effect, larger while few intervals have shown how much they differ."""
        return self.design_effect * (1 + CAUTION / max(1, self.intervals - 1))

    @property
    def design_effect(self) -> float:
        """How many dependent requests carry the evidence of one independent one; 1 at the least.

        Variance of the interval rates over the binomial one (Rao and Scott, "A simple method for
        the analysis of clustered binary data", Biometrics 48, 1992): dividing counts by it makes
        tests for independent requests valid. One burst of failures counts as about one failure:

        >>> burst = Moments()
        >>> for failed in (0, 0, 0, 20, 0, 0, 0, 0):
        ...     burst = burst.plus(Counts(failed, 50))
        >>> round(burst.failed / burst.design_effect, 2)
        0.95
        """
        spread = self.rate * (1 - self.rate) * self.total
        if self.intervals <= 1 or spread <= 0:
            return 1.0
        squares = self.failed_squared - 2 * self.rate * self.failed_total
        squares += self.rate**2 * self.total_squared
        return max(1.0, self.intervals / (self.intervals - 1) * squares / spread)
