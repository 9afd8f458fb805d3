"""The serving contract: what the fetcher and the sentinel of a serving pod are told.

Both get one JSON object in the environment variable `MODELYARD_SERVE`. They share the volume at
`MODELS_DIRECTORY` with the model server: `fetch` fills it before the server starts, and `serve`
judges what the server makes of it.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.meta import Digest, DnsLabel, Message, Model, ModelName, Observed
from modelyard.api.store import StoreSettings
from modelyard.api.version import GoldenSet

SERVE_VARIABLE = "MODELYARD_SERVE"
MODELS_DIRECTORY = "/models"
CONFIG_FOLDER = ".config"
"""Folder of the models directory that holds the two files below; no model can have this name."""

MONITORING_FILE = "monitoring.config"
SENTINEL_FILE = "sentinel.json"
METRICS_PATH = "/monitoring/prometheus/metrics"
"""Where the model server exposes its metrics, on its REST port."""


class ServeConfig(Model):
    """Everything that the fetcher and the sentinel are told."""

    store: StoreSettings
    """The store that holds the version."""

    namespace: DnsLabel
    """Namespace of the model."""

    model_name: ModelName
    """The model; its name in request paths."""

    version: Annotated[int, Field(ge=1)]
    """The version to serve."""

    manifest_digest: Digest
    """The only manifest that may be served under that number."""

    golden_set: GoldenSet | None = None
    """Predictions to reproduce before the pod gets traffic; None judges by loading alone."""

    drain_seconds: Annotated[int, Field(ge=0, le=600)] = 10
    """Seconds a stopping server keeps answering while endpoints propagate."""


class FetchReceipt(Model):
    """What the fetcher leaves for the sentinel in `sentinel.json`: what really lies on disk."""

    model_name: ModelName
    version: Annotated[int, Field(ge=1)]
    manifest_digest: Digest


class GoldenVerdict(StrEnum):
    """What the golden predictions said about the running server."""

    PENDING = "Pending"
    PASSED = "Passed"
    FAILED = "Failed"


LATENCY_BUCKETS = 34
"""Buckets of the server's latency histogram: 33 edges, 10 microseconds times 1.8^k, and beyond."""


class ServerCounters(Observed):
    """What the running server has answered since it started, the sentinel's own requests apart."""

    requests: int = 0
    """Requests, whatever the answer."""

    server_errors: int = 0
    """Requests that failed for a reason that lies with the server."""

    client_errors: int = 0
    """Requests that were refused for what they asked."""

    latency: Annotated[
        tuple[int, ...], Field(min_length=LATENCY_BUCKETS, max_length=LATENCY_BUCKETS)
    ] = (0,) * LATENCY_BUCKETS
    """Timed requests by latency bucket, fastest first."""


class SentinelStatus(Observed):
    """The answer to the sentinel's `GET /status`."""

    digest: Digest
    """Manifest digest of the files that the server loads."""

    golden: GoldenVerdict = GoldenVerdict.PENDING
    """Whether the running server reproduced its golden predictions."""

    message: Message = ""
    """Why it is not ready, in plain words; empty once it is."""

    counters: ServerCounters | None = None
    """What the server has answered; absent until it has been asked."""
