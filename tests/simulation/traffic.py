"""Traffic of two versions: requests by interval, in the ways that fool naive tests."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modelyard.api.serve import LATENCY_BUCKETS
from modelyard.plan.judge.counters import Counters

EDGES = 10.0 * 1.8 ** np.arange(LATENCY_BUCKETS - 1)
"""Microseconds."""


@dataclass(frozen=True)
class World:
    """How requests arrive, fail and take time."""

    stable: int = 950
    canary: int = 50
    """Mean requests in an interval."""
    stable_errors: float = 0.01
    canary_errors: float = 0.01
    slowdown: float = 1.0
    correlation: float = 0.0
    """Correlation of failures within an interval: beta-binomial."""
    swing: float = 0.0
    """How much load and errors swing over a day of 20 intervals: 0.8 is from a fifth to almost
    twice the mean."""
    jitter: float = 0.0
    """Standard deviation of an interval's common factor of latency, as a logarithm."""
    tail: bool = False
    """Whether latencies have a heavy tail (Student's t with 3 degrees) instead of a normal one."""

    def intervals(self, seed: int, count: int) -> Iterator[tuple[Counters, Counters]]:
        """Yield what stable and canary answered, interval by interval."""
        random = np.random.default_rng(seed)
        for number in range(count):
            wave = 1 + self.swing * np.sin(2 * np.pi * (number / 20 + seed % 20 / 20))
            yield (
                self._side(random, self.stable * wave, self.stable_errors * wave, 1.0),
                self._side(random, self.canary * wave, self.canary_errors * wave, self.slowdown),
            )

    def reads(self, seed: int, count: int) -> Iterator[tuple[Counters, Counters]]:
        """Yield the counters of stable and canary, all of them 0 first, after each interval."""
        stable, canary = Counters("s"), Counters("c")
        yield stable, canary
        for more_stable, more_canary in self.intervals(seed, count):
            stable, canary = plus(stable, more_stable), plus(canary, more_canary)
            yield stable, canary

    def _side(
        self, random: np.random.Generator, mean: float, errors: float, slowdown: float
    ) -> Counters:
        requests = int(random.poisson(mean))
        if self.correlation and errors:
            size = 1 / self.correlation - 1
            errors = random.beta(errors * size, (1 - errors) * size)
        failed = int(random.binomial(requests, errors))
        noise = random.standard_t(3, requests) if self.tail else random.standard_normal(requests)
        common = random.normal(0, self.jitter) if self.jitter else 0.0
        times = 5000 * slowdown * np.exp(0.45 * noise + common)
        buckets = np.bincount(np.searchsorted(EDGES, times), minlength=LATENCY_BUCKETS)
        return Counters("x", requests, failed, 0, tuple(int(n) for n in buckets))


def plus(before: Counters, more: Counters) -> Counters:
    """Return the counters of one side after `more` was answered."""
    return Counters(
        before.servers,
        before.requests + more.requests,
        before.server_errors + more.server_errors,
        before.client_errors + more.client_errors,
        tuple(a + b for a, b in zip(before.latency, more.latency, strict=True)),
    )
