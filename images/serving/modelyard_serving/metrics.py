"""The original's metrics: names that begin with a colon, microseconds, buckets of 10 * 1.8^k.

prometheus_client refuses nothing here, but it appends `_total` to counters and adds `_created`
series, which the original does not have; so the exposition is written out here.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Labels = tuple[str, ...]

MICROSECONDS = tuple(10 * 1.8**power for power in range(33))
"""Bucket limits of every latency: 10 microseconds to about 20 minutes."""

POWERS_OF_TWO = tuple(float(1 << power) for power in range(15))


@dataclass(slots=True)
class _Counted:
    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class Counter:
    """A number per combination of label values that only grows."""

    name: str
    labels: Sequence[str]
    _values: dict[Labels, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *values: str, amount: float = 1) -> None:
        """Count `amount` for these label values."""
        with self._lock:
            self._values[values] = self._values.get(values, 0) + amount

    def lines(self) -> Iterator[str]:
        """Yield the exposition."""
        yield f"# TYPE {self.name} counter"
        with self._lock:
            items = sorted(self._values.items())
        for values, amount in items:
            yield f"{self.name}{{{_pairs(self.labels, values)}}} {amount:.17g}"


@dataclass(slots=True)
class Histogram:
    """A distribution per combination of label values."""

    name: str
    labels: Sequence[str]
    limits: Sequence[float] = MICROSECONDS
    _values: dict[Labels, _Counted] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, value: float, *values: str) -> None:
        """Add one value; a bucket holds what is at most its limit."""
        index = bisect_left(self.limits, value)
        with self._lock:
            counted = self._values.get(values)
            if counted is None:
                counted = self._values[values] = _Counted([0] * (len(self.limits) + 1))
            counted.counts[index] += 1
            counted.total += value

    def lines(self) -> Iterator[str]:
        """Yield the exposition."""
        yield f"# TYPE {self.name} histogram"
        with self._lock:
            items = [(key, list(one.counts), one.total) for key, one in self._values.items()]
        for values, counts, total in sorted(items):
            yield from self._series(_pairs(self.labels, values), counts, total)

    def _series(self, pairs: str, counts: list[int], total: float) -> Iterator[str]:
        before = f"{pairs}," if pairs else ""
        running = 0
        for edge, count in zip([*map(_edge, self.limits), "+Inf"], counts, strict=True):
            running += count
            yield f'{self.name}_bucket{{{before}le="{edge}"}} {running}'
        yield f"{self.name}_sum{{{pairs}}} {total:.17g}"
        yield f"{self.name}_count{{{pairs}}} {running}"


class Metrics:
    """Every series this server has, under the original's names."""

    def __init__(self) -> None:
        serving, batching = ":tensorflow:serving:", ":tensorflow:serving:batching_session:"
        loading = ":tensorflow:cc:saved_model:"
        self.request_count = Counter(f"{serving}request_count", ("model_name", "status"))
        self.request_latency = Histogram(
            f"{serving}request_latency", ("model_name", "API", "entrypoint")
        )
        self.runtime_latency = Histogram(
            f"{serving}runtime_latency", ("model_name", "API", "runtime")
        )
        self.warmup_latency = Histogram(f"{serving}model_warmup_latency", ("model_path", "status"))
        self.example_counts = Histogram(
            f"{serving}request_example_counts", ("model",), POWERS_OF_TWO
        )
        self.example_total = Counter(f"{serving}request_example_count_total", ("model",))
        self.queuing_latency = Histogram(f"{batching}queuing_latency", ())
        self.input_batch_size = Histogram(f"{batching}input_batch_size", (), POWERS_OF_TWO)
        self.processed_batch_size = Histogram(f"{batching}processed_batch_size", (), POWERS_OF_TWO)
        self.padding_size = Histogram(f"{batching}padding_size", (), POWERS_OF_TWO)
        self.load_attempts = Counter(f"{loading}load_attempt_count", ("model_path", "status"))
        self.load_latency = Counter(f"{loading}load_latency", ("model_path",))

    def exposition(self) -> str:
        """Return the Prometheus text format."""
        return "".join(f"{line}\n" for metric in vars(self).values() for line in metric.lines())


def _edge(limit: float) -> str:
    """Return a limit as the original prints it: six significant digits, such as `708235`."""
    return f"{limit:.6g}"


def _pairs(names: Sequence[str], values: Labels) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
