"""Metrics of what the operator looks after, read from the cache when they are scraped.

Nothing is kept: a series disappears with its object.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelyard.kube.cache import Cache
from modelyard.kube.kinds import MODEL_DEPLOYMENT, MODEL_TRAINING, MODEL_VERSION, Raw

NEWEST_VERSIONS = 20
"""Versions per model whose evaluation is exposed."""


class DomainMetrics(Collector):
    """Trainings' progress, versions' evaluations, deployments' versions."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing: the registry need not look at the cache to register this."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metric families as the cache stands."""
        yield self._progress()
        yield self._gates()
        yield self._evaluations()
        yield self._served()

    def _progress(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "modelyard_modeltraining_progress_ratio",
            "Share of steps done of a training that runs, 0 to 1.",
            labels=("namespace", "training", "model"),
        )
        for raw in self._cache.objects(MODEL_TRAINING.name):
            status = raw.get("status") or {}
            progress = status.get("progress")
            if progress and status.get("phase") in {"Running", "Evaluating", "Registering"}:
                total = max(progress.get("totalSteps", 0), 1)
                labels = (*_place(raw), raw["spec"]["modelName"])
                family.add_metric(labels, progress.get("step", 0) / total)
        return family

    def _gates(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "modelyard_modeltraining_gate_passed",
            "1 if the gate let the model through, 0 if it did not.",
            labels=("namespace", "training", "gate", "metric"),
        )
        for raw in self._cache.objects(MODEL_TRAINING.name):
            evaluation = (raw.get("status") or {}).get("evaluation") or {}
            for gate in evaluation.get("gates") or ():
                labels = (*_place(raw), gate["name"], gate["metric"])
                family.add_metric(labels, float(gate["verdict"] == "Passed"))
        return family

    def _evaluations(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "modelyard_modelversion_evaluation",
            "Measured value of a version on its evaluation data.",
            labels=("namespace", "model", "version", "metric", "slice"),
        )
        for raw in _newest(self._cache.objects(MODEL_VERSION.name)):
            spec = raw["spec"]
            place = (raw["metadata"]["namespace"], spec["modelName"], str(spec["version"]))
            for metric in spec.get("metrics") or ():
                labels = (*place, metric["name"], metric.get("slice", "overall"))
                family.add_metric(labels, float(metric["value"]))
        return family

    def _served(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "modelyard_modeldeployment_version_info",
            "1 for each version that a deployment has pods of, by its role.",
            labels=("namespace", "deployment", "model", "version", "track"),
        )
        for raw in self._cache.objects(MODEL_DEPLOYMENT.name):
            for track in ("stable", "canary"):
                served = (raw.get("status") or {}).get(track)
                if served:
                    model = (served["modelName"], str(served["version"]), track)
                    family.add_metric((*_place(raw), *model), 1)
        return family


def _place(raw: Raw) -> tuple[str, str]:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _newest(versions: list[Raw]) -> list[Raw]:
    """Return the newest versions of each model."""
    models: dict[tuple[str, str], list[Raw]] = {}
    for raw in versions:
        place = (raw["metadata"]["namespace"], raw["spec"]["modelName"])
        models.setdefault(place, []).append(raw)
    kept: list[Raw] = []
    for found in models.values():
        found.sort(key=lambda raw: int(raw["spec"]["version"]))
        kept += found[-NEWEST_VERSIONS:]
    return kept
