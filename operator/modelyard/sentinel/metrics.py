"""The model server's metrics under names that every tool takes, with model and version.

The server's names begin with a colon, which Prometheus reserves for recording rules, and say
nothing of the version. Only families that someone decides by are kept, of a thousand series.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

SERVER_PREFIX = ":tensorflow:serving:"
PREFIX = "modelyard_server_"
REQUEST_COUNT = "request_count"
FAMILIES = {
    REQUEST_COUNT: "Requests that the server answered, by status.",
    "request_latency": "Microseconds from request to answer.",
    "runtime_latency": "Microseconds within the model's graph.",
    "model_warmup_latency": "Microseconds of the warm-up at load.",
}
"""The families that are kept, by the server's name without its prefix."""

OWNER_LABELS = frozenset({"model_name", "model_path"})
"""Labels that `model` and `version` replace."""

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """What the sentinel adds about itself."""

    up: bool
    ready: bool
    own_requests: int
    """Requests the running server answered to the sentinel; subtract them from its counters."""


def relevant_lines(exposition: str, families: Iterable[str] = FAMILIES) -> str:
    """Return only the lines of `families`: parsing a thousand series costs, finding a few does not.

    A line belongs to a family when its name is the family's, or continues it with `_`, `{` or ` `.
    """
    wanted = tuple(SERVER_PREFIX + name for name in families)
    kept = (
        line
        for line in exposition.splitlines()
        if line.removeprefix("# TYPE ").removeprefix("# HELP ").startswith(wanted)
    )
    return "\n".join(kept) + "\n"


def request_total(exposition: str, model: str) -> int:
    """Return how many requests for `model` the server has answered since it started.

    Raises:
        ValueError: The text is no Prometheus exposition.
    """
    text = relevant_lines(exposition, (REQUEST_COUNT,))
    return int(
        sum(
            sample.value
            for family in text_string_to_metric_families(text)
            if family.name == SERVER_PREFIX + REQUEST_COUNT
            for sample in family.samples
            if sample.labels.get("model_name") == model
        )
    )


def relabelled(exposition: str, model: str, version: int) -> Iterator[Metric]:
    """Yield the kept families with colon-free names and the labels `model` and `version`.

    Raises:
        ValueError: The text is no Prometheus exposition.
    """
    for family in text_string_to_metric_families(relevant_lines(exposition)):
        name = family.name.removeprefix(SERVER_PREFIX)
        if name in FAMILIES:
            yield _renamed(family, name, {"model": model, "version": str(version)})


def _renamed(family: Metric, name: str, owner: Labels) -> Metric:
    """Copy one family, leaving out samples that belong to another model or to none."""
    renamed = Metric(PREFIX + name, FAMILIES[name], family.type)
    for sample in family.samples:
        if sample.labels.get("model_name", owner["model"]) == owner["model"]:
            suffix = sample.name.removeprefix(family.name)
            renamed.add_sample(PREFIX + name + suffix, _labels(sample.labels, owner), sample.value)
    return renamed


def _labels(labels: Labels, owner: Labels) -> Labels:
    kept = {name.lower(): value for name, value in labels.items() if name not in OWNER_LABELS}
    return owner | kept


class _Snapshot(Collector):
    """One exposition's families, in the form that prometheus_client writes."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def exposition_of(
    server_text: str | None, model: str, version: int, own: OwnFigures
) -> tuple[bytes, str | None]:
    """Write the sentinel's exposition: the server's figures (None: no answer) and its own.

    Returns:
        The exposition, and in words why the server's figures are missing from it, if they are.
    """
    fault, server = None, list[Metric]()
    try:
        server = [] if server_text is None else list(relabelled(server_text, model, version))
    except ValueError as error:
        fault = f"the server's metrics cannot be parsed: {error}"
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot([*server, *_own_families(model, version, own)]))
    return generate_latest(registry), fault


def _own_families(model: str, version: int, own: OwnFigures) -> Iterator[Metric]:
    labels, values = ["model", "version"], [model, str(version)]
    for name, text, value in (
        ("modelyard_server_up", "1 while the model server answers.", own.up),
        ("modelyard_sentinel_ready", "1 while the pod may get traffic.", own.ready),
    ):
        gauge = GaugeMetricFamily(name, text, labels=labels)
        gauge.add_metric(values, float(value))
        yield gauge
    counter = CounterMetricFamily(
        "modelyard_sentinel_requests",
        "Requests of the sentinel that the running server answered; request_count includes them.",
        labels=labels,
    )
    counter.add_metric(values, own.own_requests)
    yield counter
