"""A model with its optimiser: one compiled training step, predictions, and its exact state."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[Any]
State = dict[str, Array]
PREDICTION_BATCH = 256


def make_deterministic(seed: int) -> None:
    """Make this process repeat itself bit by bit: initial weights, dropout and every kernel."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


class Learner:
    """What is trained. The step is traced once: the batch dimension is free, XLA is off.

    (On CPUs XLA made small dense and convolutional networks slower, and its compilation
    takes longer than many of these runs.)
    """

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self.model = model
        self._optimizer = optimizer
        optimizer.build(model.trainable_variables)
        self._loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        rows = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        labels = tf.TensorSpec((None,), tf.int64)
        self._step = tf.function(self._train_step, [rows, labels], jit_compile=False)
        self._predict = tf.function(self._probabilities, [rows], jit_compile=False)

    def train(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
        """Do one step and return its loss as a tensor that may still be under way."""
        return self._step(features, labels)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 probabilities `(rows, classes)`, computed in batches."""
        starts = range(0, len(features), PREDICTION_BATCH)
        return np.concatenate(
            [self._predict(features[s : s + PREDICTION_BATCH]).numpy() for s in starts]
        )

    def penalty(self) -> float:
        """Return what regularisation adds to the loss."""
        return float(sum(float(loss) for loss in self.model.losses))

    def state(self) -> State:
        """Return copies of all that the next step depends on, seed generators included."""
        return {name: variable.numpy().copy() for name, variable in self._variables().items()}

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises:
            ValueError: it belongs to another model; nothing was changed.
        """
        variables = self._variables()
        if _layout(variables) != _layout(state):
            raise ValueError("the saved variables are not those of this model")
        for name, variable in variables.items():
            variable.assign(state[name])

    def _variables(self) -> dict[str, Any]:
        """Return every variable under a name that does not depend on Keras' counters.

        `model.variables` has the seed generators, which `model.weights` leaves out.
        """
        groups = {"model": self.model.variables, "optimizer": self._optimizer.variables}
        return {f"{g}/{i:04d}": v.value for g, vs in groups.items() for i, v in enumerate(vs)}

    def _train_step(self, features: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = self._loss(labels, self.model(features, training=True))
            total = tf.add_n([loss, *self.model.losses])
        variables = self.model.trainable_variables
        self._optimizer.apply(tape.gradient(total, [v.value for v in variables]), variables)
        return total

    def _probabilities(self, features: Any) -> Any:
        return tf.nn.softmax(self.model(features, training=False))


def _layout(arrays: dict[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and element type by name."""
    return {n: (tuple(a.shape), np.dtype(_numpy_dtype(a)).name) for n, a in arrays.items()}


def _numpy_dtype(array: Any) -> Any:
    """Return the NumPy element type of an array or a TensorFlow variable."""
    return getattr(array.dtype, "as_numpy_dtype", array.dtype)
