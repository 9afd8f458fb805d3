"""Warm-up: replays recorded requests before a version takes traffic.

Read from `assets.extra/tf_serving_warmup_requests` in the SavedModel: a TFRecord file of
`PredictionLog` messages, as https://www.tensorflow.org/tfx/serving/saved_model_warmup describes.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # no stubs here
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from modelyard_serving import inference
from modelyard_serving.errors import LoadError, RequestError
from modelyard_serving.metrics import Metrics
from modelyard_serving.servable import Servable

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
FRAME = 16
"""Bytes around each record: its length and two checksums."""
MICROS = 1e6


def warm_up(servable: Servable, iterations: int, metrics: Metrics) -> int:
    """Replay the recorded requests; return how many records there were.

    Raises:
        LoadError: The file is no TFRecord file, too long, or the model refuses a request in it.
    """
    path = servable.path / FILE
    if not path.is_file():
        return 0
    started = time.perf_counter()
    records = 0
    for records, log in enumerate(_records(path), start=1):
        if records > MAX_RECORDS:
            raise LoadError(f"more than {MAX_RECORDS} warm-up records in {path}")
        for _ in range(max(1, iterations)):
            _replay(servable, log, f"warm-up record {records} of {path}")
    micros = (time.perf_counter() - started) * MICROS
    metrics.warmup_latency.observe(micros, str(servable.path), "OK")
    return records


def _records(path: Path) -> Iterator[PredictionLog]:
    read = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            read += len(record) + FRAME
            yield PredictionLog.FromString(record)
    except (tf.errors.OpError, DecodeError) as error:
        raise _unreadable(path, str(error)) from error
    if read != path.stat().st_size:  # TensorFlow takes a header that is cut short for the end
        raise _unreadable(path, f"truncated record at {read}")


def _unreadable(path: Path, why: str) -> LoadError:
    return LoadError(
        f"cannot read {path}: {why}. Please verify your warmup data is in TFRecord format."
    )


def _replay(servable: Servable, log: PredictionLog, what: str) -> None:
    try:
        work = _work(servable, log)
        work.respond(work.program.run(work.feeds))
    except RequestError as error:
        raise LoadError(f"{what} failed: {error.code.name}: {error.message}") from error


def _work(servable: Servable, log: PredictionLog) -> inference.Work[object]:
    match log.WhichOneof("log_type"):
        case "predict_log":
            return inference.predict(servable, log.predict_log.request)
        case "classify_log":
            return inference.classify(servable, log.classify_log.request)
        case "regress_log":
            return inference.regress(servable, log.regress_log.request)
        case "multi_inference_log":
            return inference.multi_inference(servable, log.multi_inference_log.request)
        case kind:
            raise LoadError(f"Unsupported log_type for warmup: {kind}")
