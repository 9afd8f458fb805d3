"""Writes the SavedModel of these tests, as a program: `python saved_model.py FOLDER FACTOR`.

Its signatures are small, but of every kind that a request can meet.
"""

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

FLOATS = tf.TensorSpec([None, 2], tf.float32)


class Suite(tf.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def scale(self, x):
        return {"y": x * self.factor}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, name="a"),
            tf.TensorSpec([None], tf.int64, name="b"),
        ]
    )
    def pair(self, a, b):
        return {"total": tf.reduce_sum(a, axis=1), "next": b + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def text(self, text):
        return {"echo": text, "raw_bytes": text}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def center(self, x):
        """Rows depend on each other, although the shapes do not say so."""
        return {"y": x - tf.reduce_mean(x, axis=0, keepdims=True)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def checked(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "must be positive")]):
            return {"y": tf.sqrt(x)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="turns")])
    def slow(self, turns):
        done, _ = tf.while_loop(
            lambda i, _: i < turns,
            lambda i, m: (i + 1, tf.tanh(tf.matmul(m, m))),
            (tf.constant(0), tf.ones([64, 64])),
            parallel_iterations=1,
        )
        return {"done": done}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs):
        value = _value(inputs)
        scores = tf.stack([value, 1.0 - value], axis=1)
        labels = tf.tile(tf.constant([["high", "low"]]), [tf.shape(value)[0], 1])
        return {"scores": scores, "classes": labels}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(self, inputs):
        return {"outputs": _value(inputs) * self.factor}


def _value(serialized):
    parsed = tf.io.parse_example(serialized, {"v": tf.io.FixedLenFeature([], tf.float32)})
    return parsed["v"]


def save(folder, factor):
    suite = Suite(factor)
    names = ["pair", "text", "center", "checked", "slow", "classify", "regress"]
    signatures = {"serving_default": suite.scale} | {n: getattr(suite, n) for n in names}
    tf.saved_model.save(suite, str(folder), signatures=signatures)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    for name in ("classify", "regress"):
        updater.replace_method_name(name, f"tensorflow/serving/{name}", tags="serve")
    updater.save()
    warm_up(folder)


def warm_up(folder):
    extra = Path(folder) / "assets.extra"
    extra.mkdir()
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "suite"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0]]))
    log = prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


if __name__ == "__main__":
    save(sys.argv[1], float(sys.argv[2]))
