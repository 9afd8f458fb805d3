"""Writes the models that the suites ask: `python -m tests.conformance.models FOLDER`.

A program of its own, so that TensorFlow stays out of the process that runs the tests.
"""

import itertools
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # no Keras here, so spare its import

import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import (
    ClassifyLog,
    PredictionLog,
    PredictLog,
)

FEATURES = {"x": tf.io.FixedLenFeature([2], tf.float32)}
CLASSES = [b"low", b"high"]
MLP_SIZES = (64, 128, 64, 10)


class Conformance(tf.Module):
    """Every kind of signature, with results that can be computed in the head."""

    def __init__(self, offset):
        super().__init__()
        self.offset = tf.Variable(float(offset))

    def half(self, x):
        """0.5 x + offset: the default signature, one input and one output."""
        return {"y": 0.5 * x + self.offset}

    def mixed(self, count, text, flag, ratio):
        """Four types in, five outputs."""
        return {
            "count": count + 1,
            "text": tf.strings.join([text, "!"]),
            "text_bytes": text,
            "flag": tf.logical_not(flag),
            "ratio": ratio / 3,
        }

    def fixed(self, x):
        """No batch dimension: two by two in, a scalar out."""
        return {"total": tf.reduce_sum(x)}

    def unusual(self, x):
        """NaN and both infinities."""
        return {"y": tf.stack([x / 0.0, -x / 0.0, 0.0 * x / 0.0], axis=1)}

    def positive(self, x):
        """Refuses negative values while it runs."""
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x is negative")]):
            return {"root": tf.sqrt(x)}

    def spin(self, rounds, x):
        """Takes about as long as `rounds` says."""
        matrix = tf.random.stateless_uniform([256, 256], [1, 2]) / 256
        last = tf.while_loop(
            lambda i, _: i < tf.reduce_max(rounds),
            lambda i, m: (i + 1, tf.matmul(m, matrix)),
            [tf.constant(0, tf.int64), matrix],
        )[1]
        return {"y": x + 0 * last[0, 0]}

    def classify(self, inputs):
        """Scores and labels of serialized examples."""
        x = tf.io.parse_example(inputs, FEATURES)["x"]
        labels = tf.tile(tf.constant([CLASSES]), [tf.shape(x)[0], 1])
        return {"scores": 0.5 * x, "classes": labels}

    def regress(self, inputs):
        """The sum of each serialized example's numbers."""
        x = tf.io.parse_example(inputs, FEATURES)["x"]
        return {"outputs": tf.reduce_sum(x, axis=1)}


def write_conformance(folder, offset):
    """Write a version of the conformance model."""
    module = Conformance(offset)

    def concrete(function, **inputs):
        specs = {k: tf.TensorSpec(s, t, name=k) for k, (s, t) in inputs.items()}
        return tf.function(function).get_concrete_function(**specs)

    examples = {"inputs": ([None], tf.string)}
    column = {"x": ([None], tf.float32)}
    signatures = {
        "serving_default": concrete(module.half, x=([None, 3], tf.float32)),
        "mixed": concrete(
            module.mixed,
            count=([None], tf.int64),
            text=([None], tf.string),
            flag=([None], tf.bool),
            ratio=([None, 2], tf.float64),
        ),
        "fixed": concrete(module.fixed, x=([2, 2], tf.float32)),
        "unusual": concrete(module.unusual, **column),
        "positive": concrete(module.positive, **column),
        "spin": concrete(module.spin, rounds=([None], tf.int64), **column),
        "classify": concrete(module.classify, **examples),
        "regress": concrete(module.regress, **examples),
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    updater.replace_method_name("classify", "tensorflow/serving/classify", "serve")
    updater.replace_method_name("regress", "tensorflow/serving/regress", "serve")
    updater.save()


def write_warmup(folder, *, signature="serving_default"):
    """Add recorded requests to a model: a Predict and a Classify."""
    predict = PredictRequest()
    predict.model_spec.signature_name = signature
    predict.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0, 2.0, 3.0]]))
    classify = ClassificationRequest()
    classify.model_spec.signature_name = "classify"
    example = classify.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.extend([1.0, 2.0])
    logs = [
        PredictionLog(predict_log=PredictLog(request=predict)),
        PredictionLog(classify_log=ClassifyLog(request=classify)),
    ]
    extra = Path(folder, "assets.extra")
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def write_mlp(folder, sizes=MLP_SIZES):
    """Write the network that the bench asks."""
    module = tf.Module()
    pairs = list(itertools.pairwise(sizes))
    module.kernels = [
        tf.Variable(tf.random.stateless_normal(pair, [1, 2]) / pair[0] ** 0.5) for pair in pairs
    ]

    def network(x):
        for kernel in module.kernels[:-1]:
            x = tf.nn.relu(x @ kernel)
        return {"probabilities": tf.nn.softmax(x @ module.kernels[-1])}

    spec = tf.TensorSpec([None, sizes[0]], tf.float32, name="x")
    function = tf.function(network).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})


def main(folder):
    """Write all models below a folder: NAME/VERSION."""
    write_conformance(folder / "conformance" / "3", offset=2)
    write_conformance(folder / "conformance" / "2", offset=1)
    write_conformance(folder / "warm" / "1", offset=2)
    write_warmup(folder / "warm" / "1")
    write_conformance(folder / "refusing" / "1", offset=2)
    write_warmup(folder / "refusing" / "1", signature="no_such_signature")
    write_mlp(folder / "mlp" / "1")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
