"""The server's own counters in the form that a rollout is judged by."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import inf

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from modelyard.api.serve import LATENCY_BUCKETS, ServerCounters
from modelyard.sentinel.metrics import REQUEST_COUNT, SERVER_PREFIX, relevant_lines

LATENCY = "request_latency"
FIRST_EDGE, GROWTH = 10.0, 1.8
"""Microseconds of the first edge, and the ratio of neighbouring edges."""

CLIENT_FAULTS = frozenset(
    {
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "CANCELLED",
        "ABORTED",
    }
)
"""Statuses that a request brings upon itself; every other one but OK lies with the server."""


def counters_of(exposition: str, model: str, own_requests: int) -> ServerCounters:
    """Read the counters of one model; the sentinel's own requests were all answered OK.

    Raises:
        ValueError: The text is no Prometheus exposition.
    """
    samples = list(_samples(exposition, model))
    total = errors = refused = 0
    for sample in _named(samples, REQUEST_COUNT):
        status, count = _status(sample), int(sample.value)
        total += count
        refused += count * (status in CLIENT_FAULTS)
        errors += count * (status != "OK" and status not in CLIENT_FAULTS)
    return ServerCounters(
        requests=max(0, total - own_requests),
        server_errors=errors,
        client_errors=refused,
        latency=_histogram(_named(samples, LATENCY + "_bucket")),
    )


def _samples(exposition: str, model: str) -> Iterator[Sample]:
    text = relevant_lines(exposition, (REQUEST_COUNT, LATENCY))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("model_name") == model:
                yield sample


def _named(samples: Iterable[Sample], name: str) -> Iterator[Sample]:
    wanted = SERVER_PREFIX + name
    return (sample for sample in samples if sample.name.removesuffix("_total") == wanted)


def _status(sample: Sample) -> str:
    return sample.labels.get("status", "OK")


def _histogram(buckets: Iterable[Sample]) -> tuple[int, ...]:
    """Add up cumulative histograms of all entry points, and take them apart into buckets."""
    edges = [FIRST_EDGE * GROWTH**power for power in range(LATENCY_BUCKETS - 1)]
    below = [0] * LATENCY_BUCKETS
    for sample in buckets:
        below[_place(edges, float(sample.labels["le"]))] += int(sample.value)
    return (below[0], *(max(0, after - before) for before, after in pairwise(below)))


def _place(edges: list[float], edge: float) -> int:
    """Return which edge this is; the exposition rounds edges to whole microseconds."""
    if edge == inf:
        return len(edges)
    return min(range(len(edges)), key=lambda place: abs(edges[place] - edge))
