"""Metrics of the loop, under the names that controller-runtime's dashboards expect.

Source of the names: https://book.kubebuilder.io/reference/metrics-reference
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
QUEUE = "modelyard"


class LoopMetrics:
    """Counters, gauges and histograms of queue, reconciles, requests and leadership."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self.reconciles = Counter(
            "controller_runtime_reconcile_total",
            "Reconciles by controller and result (success, error, requeue, requeue_after).",
            ("controller", "result"),
            registry=registry,
        )
        self.errors = Counter(
            "controller_runtime_reconcile_errors_total",
            "Reconciles that failed, by controller.",
            ("controller",),
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconcile.",
            ("controller",),
            buckets=SECONDS,
            registry=registry,
        )
        self.active = Gauge(
            "controller_runtime_active_workers",
            "Reconciles under way, by controller.",
            ("controller",),
            registry=registry,
        )
        self._queue_metrics(registry)
        self._process_metrics(registry)

    def _queue_metrics(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge("workqueue_depth", "Keys that wait.", ("name",), registry=registry)
        self.adds = Counter("workqueue_adds_total", "Keys added.", ("name",), registry=registry)
        self.retries = Counter(
            "workqueue_retries_total",
            "Keys put back after a failure.",
            ("name",),
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "workqueue_queue_duration_seconds",
            "How long a key waits.",
            ("name",),
            buckets=SECONDS,
            registry=registry,
        )
        self.work_seconds = Histogram(
            "workqueue_work_duration_seconds",
            "How long a key is worked on.",
            ("name",),
            buckets=SECONDS,
            registry=registry,
        )
        self.longest = Gauge(
            "workqueue_longest_running_processor_seconds",
            "Age of the oldest reconcile under way.",
            ("name",),
            registry=registry,
        )

    def _process_metrics(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "rest_client_requests_total",
            "Requests to the API server by status and method.",
            ("code", "method"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Duration of requests to the API server.",
            ("verb",),
            buckets=SECONDS,
            registry=registry,
        )
        self.leader = Gauge(
            "leader_election_master_status",
            "1 while this process holds the Lease.",
            ("name",),
            registry=registry,
        )
        self.ghosts = Counter(
            "modelyard_cache_ghosts_total",
            "Objects that vanished unnoticed and were dropped by a sweep.",
            registry=registry,
        )
        self.missed = Counter(
            "modelyard_cache_missed_total",
            "Changes that no watch told of and a sweep found.",
            registry=registry,
        )
        self.lag = Gauge(
            "modelyard_event_loop_lag_seconds",
            "How late the event loop last woke up.",
            registry=registry,
        )

    def request(self, code: str, method: str, seconds: float) -> None:
        """Count one request to the API server."""
        self.requests.labels(code, method).inc()
        self.request_seconds.labels(method).observe(seconds)
