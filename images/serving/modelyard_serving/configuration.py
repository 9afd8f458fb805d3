"""The two text files that flags name: MonitoringConfig and BatchingParameters.

Their message types are not in the tensorflow-serving-api wheel, so they are declared here with the
original's field names. A field that this server would not obey is unknown, hence refused.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format  # type: ignore[import-untyped] # no stubs here
from google.protobuf import wrappers_pb2 as wrappers

from modelyard_serving.errors import StartupError

DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"

_SCHEMA = """
name: "modelyard_serving/configuration.proto"
package: "modelyard.serving"
syntax: "proto3"
dependency: "google/protobuf/wrappers.proto"
message_type {
  name: "PrometheusConfig"
  field { name: "enable" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "path" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type {
  name: "MonitoringConfig"
  field { name: "prometheus_config" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: ".modelyard.serving.PrometheusConfig" }
}
message_type {
  name: "BatchingParameters"
  field { name: "max_batch_size" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: ".google.protobuf.Int64Value" }
  field { name: "batch_timeout_micros" number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: ".google.protobuf.Int64Value" }
  field { name: "max_enqueued_batches" number: 3 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: ".google.protobuf.Int64Value" }
  field { name: "num_batch_threads" number: 4 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: ".google.protobuf.Int64Value" }
  field { name: "thread_pool_name" number: 5 type: TYPE_MESSAGE label: LABEL_OPTIONAL
          type_name: ".google.protobuf.StringValue" }
  field { name: "allowed_batch_sizes" number: 6 type: TYPE_INT64 label: LABEL_REPEATED }
}
"""


@dataclass(frozen=True, slots=True)
class Batching:
    """How waiting requests are merged; the defaults are the original's, but for the threads."""

    max_batch_size: int = 1000
    """Most rows in one run."""
    batch_timeout_micros: int = 0
    """How long the first request waits for company; 0 takes what is there."""
    max_enqueued_batches: int = 10
    """The queue holds this many full batches; a request beyond is refused as UNAVAILABLE."""
    num_batch_threads: int = 1
    """Runs at the same time."""
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    """Sizes that a batch is padded to; empty: powers of two."""

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            StartupError: A number is too small, or the sizes do not increase to the maximum.
        """
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise StartupError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch_timeout_micros < 0:
            raise StartupError(
                f"batch_timeout_micros must not be negative, got {self.batch_timeout_micros}"
            )
        self._check_sizes()

    def _check_sizes(self) -> None:
        sizes = self.allowed_batch_sizes
        increasing = all(left < right for left, right in pairwise(sizes))
        if sizes and not (increasing and sizes[0] > 0 and sizes[-1] == self.max_batch_size):
            raise StartupError(
                f"allowed_batch_sizes must increase and end with max_batch_size "
                f"({self.max_batch_size}), got {list(sizes)}"
            )

    def padded(self, rows: int) -> int:
        """Return how many rows a batch of `rows` is padded to.

        >>> Batching().padded(5), Batching(allowed_batch_sizes=(4, 1000)).padded(5)
        (8, 1000)
        """
        allowed = (size for size in self.allowed_batch_sizes if size >= rows)
        return next(allowed, min(1 << (rows - 1).bit_length(), max(rows, self.max_batch_size)))


def read_batching(path: str) -> Batching:
    """Return the batching parameters of a text file; without a path the defaults.

    Raises:
        StartupError: The file cannot be read, or says something that cannot work.
    """
    if not path:
        return Batching()
    message = _read(path, "BatchingParameters")
    values = {field.name: value for field, value in message.ListFields()}
    sizes = tuple(values.pop("allowed_batch_sizes", ()))
    batching = Batching(
        allowed_batch_sizes=sizes, **{name: value.value for name, value in values.items()}
    )
    batching.check()
    return batching


def read_metrics_path(path: str) -> str | None:
    """Return the HTTP path of the metrics, or None when they are off, as they are by default.

    Raises:
        StartupError: The file cannot be read.
    """
    if not path:
        return None
    prometheus = _read(path, "MonitoringConfig").prometheus_config
    return (prometheus.path or DEFAULT_METRICS_PATH) if prometheus.enable else None


def _read(path: str, kind: str) -> Any:
    message = _message_class(kind)()
    try:
        return text_format.Parse(Path(path).read_text(), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise StartupError(f"cannot read {kind} from {path}: {error}") from error


def _message_class(kind: str) -> Any:
    pool = descriptor_pool.DescriptorPool()
    wrapper_types = descriptor_pb2.FileDescriptorProto()
    wrappers.DESCRIPTOR.CopyToProto(wrapper_types)
    pool.Add(wrapper_types)
    pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"modelyard.serving.{kind}"))
