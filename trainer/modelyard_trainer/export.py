"""The trained model as a SavedModel that TF-Serving loads: one signature, each weight once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from modelyard.api.version import GoldenSet, Signature, TensorSpec
from modelyard_trainer.failures import RunFailed

Array = NDArray[Any]
SIGNATURE = "serving_default"
EXTRA = "assets.extra"
GOLDEN = f"{EXTRA}/golden.json"
WARM_UP = f"{EXTRA}/tf_serving_warmup_requests"
WARM_UP_ROWS = (1, 32)
TOLERANCE = {"absolute": 1e-4, "relative": 1e-3}
MAX_SAMPLES = 16
MAX_NUMBERS = 200_000
"""Numbers in the golden set: large images make fewer samples, not a huge file."""
CLEAR_MARGIN = 1e-3
"""Distance of the two best probabilities above which rounding cannot change the class."""
SIZE_SLACK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds, as read back from disk."""

    signatures: tuple[Signature, ...]
    golden_set: GoldenSet


def export_model(
    model: keras.Model, directory: Path, rows: NDArray[np.float32], model_name: str
) -> Exported:
    """Write `model` to `directory` and check what was written.

    Args:
        model: takes rows, returns logits.
        directory: created; holds the SavedModel, warm-up requests and the golden set.
        rows: evaluation rows; golden and warm-up rows are taken from them.
        model_name: name under which the model will be served.

    Raises:
        RunFailed: the reloaded model predicts otherwise, or weights were written twice.
    """
    module = _servable(model)
    tf.saved_model.save(module, str(directory), signatures={SIGNATURE: module.serve})
    _require_single_weights(model, directory)
    loaded = tf.saved_model.load(str(directory)).signatures[SIGNATURE]
    name = model.inputs[0].name
    chosen = _sample_rows(model, rows)
    _require_parity(model, loaded, name, chosen)
    (directory / EXTRA).mkdir()
    _write_golden(directory, loaded, name, chosen)
    _write_warm_up(directory, model_name, name, rows)
    return Exported((_signature(loaded),), GoldenSet(path=GOLDEN, samples=len(chosen)))


def _servable(model: keras.Model) -> Any:
    """Return a module with the weights and the serving function.

    Keras' own export tracks every weight twice, on disk and in the server's memory.
    """
    module = tf.Module(name="servable")
    module.weights = [variable.value for variable in model.weights]
    specification = tf.TensorSpec(
        (None, *model.input_shape[1:]), tf.float32, name=model.inputs[0].name
    )

    def serve(rows: Any) -> dict[str, Any]:
        probabilities = tf.nn.softmax(model(rows, training=False))
        return {
            "probabilities": probabilities,
            "class": tf.argmax(probabilities, axis=-1, output_type=tf.int64),
        }

    module.serve = tf.function(serve, input_signature=[specification], jit_compile=False)
    return module


def _require_single_weights(model: keras.Model, directory: Path) -> None:
    """Refuse an export whose variables take more room than the weights."""
    expected = sum(int(np.prod(w.shape)) * w.value.dtype.size for w in model.weights)
    written = sum(path.stat().st_size for path in (directory / "variables").iterdir())
    if written > expected + SIZE_SLACK_BYTES:
        raise RunFailed(
            f"The export's variables take {written} bytes, the weights only {expected}: "
            "weights were written more than once."
        )


def _sample_rows(model: keras.Model, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return up to 16 rows, evenly spaced, preferring those whose class rounding cannot change."""
    candidates = rows[np.unique(np.linspace(0, len(rows) - 1, 256).astype(int))]
    probabilities = np.sort(_direct(model, candidates), axis=1)
    clear = np.flatnonzero(probabilities[:, -1] - probabilities[:, -2] > CLEAR_MARGIN)
    pool = clear if len(clear) else np.arange(len(candidates))
    count = min(MAX_SAMPLES, len(pool), max(1, MAX_NUMBERS // rows[0].size))
    chosen: NDArray[np.float32] = candidates[pool[np.linspace(0, len(pool) - 1, count).astype(int)]]
    return chosen


def _direct(model: keras.Model, rows: Array) -> Array:
    """Return the probabilities of the model in memory, without the code that is exported."""
    logits: Array = keras.ops.convert_to_numpy(model(rows, training=False)).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _require_parity(model: keras.Model, loaded: Any, name: str, rows: Array) -> None:
    """Refuse an export that predicts otherwise than the model in memory."""
    found = loaded(**{name: tf.constant(rows)})["probabilities"].numpy()
    expected = _direct(model, rows)
    if not np.allclose(found, expected, rtol=1e-4, atol=1e-5):
        raise RunFailed(
            "The reloaded SavedModel predicts otherwise than the trained model: "
            f"probabilities differ by up to {np.abs(found - expected).max():.2e}."
        )


def _write_golden(directory: Path, loaded: Any, name: str, rows: Array) -> None:
    """Record what the reloaded model answers to single rows."""
    samples = []
    for row in rows:
        batch = row[np.newaxis]
        outputs = loaded(**{name: tf.constant(batch)})
        samples.append({"inputs": {name: batch.tolist()}, "outputs": _listed(outputs)})
    document = {"signature": SIGNATURE, "tolerance": TOLERANCE, "samples": samples}
    (directory / GOLDEN).write_text(json.dumps(document, separators=(",", ":"), allow_nan=False))


def _listed(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return output tensors as nested lists."""
    return {name: tensor.numpy().tolist() for name, tensor in sorted(outputs.items())}


def _write_warm_up(directory: Path, model_name: str, name: str, rows: Array) -> None:
    """Write requests that TF-Serving runs before it calls the model available."""
    with tf.io.TFRecordWriter(str(directory / WARM_UP)) as writer:
        for count in WARM_UP_ROWS:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = SIGNATURE
            batch = np.resize(rows[:count], (count, *rows.shape[1:]))
            request.inputs[name].CopyFrom(tf.make_tensor_proto(batch))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _signature(loaded: Any) -> Signature:
    """Describe the signature as the reloaded model reports it."""
    inputs = loaded.structured_input_signature[1]
    return Signature(
        name=SIGNATURE,
        inputs=tuple(_tensor(name, spec) for name, spec in sorted(inputs.items())),
        outputs=tuple(
            _tensor(name, spec) for name, spec in sorted(loaded.structured_outputs.items())
        ),
    )


def _tensor(name: str, spec: Any) -> TensorSpec:
    """Describe one tensor; a free dimension is -1."""
    shape = tuple(-1 if size is None else size for size in spec.shape)
    return TensorSpec(name=name, dtype=spec.dtype.name, shape=shape)
