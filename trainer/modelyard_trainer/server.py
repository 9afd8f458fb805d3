"""`GET /progress` for the operator, `GET /metrics` for Prometheus, from a thread of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from modelyard_trainer.decimals import number
from modelyard_trainer.progress import Progress

PREFIX = "modelyard_trainer_"


class ReportCollector(Collector):
    """Turns the current report into gauges at the moment of a scrape."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield a gauge for each value that is known."""
        report = self._progress.report
        known = {
            "attempt": (report.attempt, "Number of this attempt"),
            "step": (report.step, "Steps done"),
            "total_steps": (report.total_steps, "Steps in all"),
            "epoch": (report.epoch, "Epoch under way, counted from 1"),
            "examples_per_second": (_optional(report.examples_per_second), "Training speed"),
            "resumed_from_step": (report.resumed_from_step, "Step of the checkpoint taken over"),
            "checkpoint_step": (report.checkpoint_step, "Step of the newest complete checkpoint"),
            "checkpoint_seconds": (
                self._progress.checkpoint_seconds,
                "Seconds that the newest checkpoint took to save",
            ),
            "loss": (self._loss(), "Training loss, penalties included, mean since the last report"),
        }
        for name, (value, help_text) in known.items():
            if value is not None:
                yield GaugeMetricFamily(PREFIX + name, help_text, value=value)
        yield self._metrics()

    def _loss(self) -> float | None:
        values = (number(m.value) for m in self._progress.report.metrics if m.name == "loss")
        return next(values, None)

    def _metrics(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(PREFIX + "metric", "Latest value of a metric", labels=["metric"])
        for metric in self._progress.report.metrics:
            family.add_metric([metric.name], number(metric.value))
        return family


@contextmanager
def serve_progress(progress: Progress, port: int, host: str = "") -> Iterator[int]:
    """Answer on `port` (0 takes a free one) while the block runs; yields the port.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(ReportCollector(progress))
    server = ThreadingHTTPServer((host, port), _handler(progress, registry))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _optional(text: str | None) -> float | None:
    return None if text is None else number(text)


def _handler(progress: Progress, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    """Return the request handler class that answers from `progress`."""

    class Handler(BaseHTTPRequestHandler):
        """Answers two paths; everything else is not found."""

        timeout = 10

        def do_GET(self) -> None:  # the name that http.server calls
            """Answer one request."""
            match self.path.split("?")[0]:
                case "/progress":
                    body = progress.report.model_dump_json(by_alias=True, exclude_none=True)
                    self._answer(HTTPStatus.OK, "application/json", body.encode())
                case "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/progress or /metrics\n")

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent: the operator asks every few seconds."""

    return Handler
