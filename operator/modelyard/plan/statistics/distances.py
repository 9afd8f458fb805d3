"""How far two distributions of scores are apart."""

from math import log, sqrt

from modelyard.plan.statistics.ranks import Histogram


def stability_index(before: Histogram, after: Histogram) -> float:
    """Return the population stability index of two histograms: 0 equal, above 0.25 far apart.

    Buckets are smoothed by half a count, so that an empty one does not make it infinite.

    >>> round(stability_index([50, 50], [80, 20]), 3)
    0.406
    """
    pairs = zip(_shares(before), _shares(after), strict=True)
    return sum((new - old) * log(new / old) for old, new in pairs)


def divergence(before: Histogram, after: Histogram) -> float:
    """Return the Jensen-Shannon distance of two histograms in bits: 0 equal, 1 disjoint.

    The square root of the divergence (Endres and Schindelin, IEEE Trans. Inf. Theory 49, 2003).

    >>> divergence([1, 0], [0, 1]), divergence([3, 3], [5, 5])
    (1.0, 0.0)
    """
    total_before, total_after = sum(before) or 1.0, sum(after) or 1.0
    bits = 0.0
    for left, right in zip(before, after, strict=True):
        p, q = left / total_before, right / total_after
        bits += sum(x * log(2 * x / (p + q)) for x in (p, q) if x > 0) / (2 * log(2))
    return sqrt(max(0.0, bits))


def _shares(histogram: Histogram) -> list[float]:
    total = sum(histogram) + len(histogram) / 2
    return [(count + 0.5) / total for count in histogram]
