"""A recipe as a Keras model: preprocessing inside, logits outside."""

from typing import Any

import keras
import numpy as np

from modelyard.api.recipe import ArchitectureName, OptimizerName, Padding, Recipe, Schedule, Task
from modelyard_trainer.dataset import Dataset
from modelyard_trainer.decimals import number
from modelyard_trainer.failures import BadConfiguration

GREY_AXES = 3
"""Axes of a batch of images without a channel axis; the model adds it, so clients need not."""

OPTIMIZERS = {
    OptimizerName.ADAM: keras.optimizers.Adam,
    OptimizerName.ADAM_W: keras.optimizers.AdamW,
    OptimizerName.SGD: keras.optimizers.SGD,
}


def build_model(recipe: Recipe, train: Dataset, classes: int) -> keras.Model:
    """Return the untrained network of `recipe` for rows like those of `train`.

    It takes float32 rows as they lie in the file and returns float32 logits `(rows, classes)`.
    Scaling is part of the graph, so that a server needs no preprocessing.

    Raises:
        BadConfiguration: the convolutions and pooling layers leave nothing of the image.
    """
    inputs = keras.Input(train.features.shape[1:], name=train.input_name)
    hidden = _scaling(recipe.task, train)(inputs)
    if recipe.architecture.name is ArchitectureName.CNN:
        if len(hidden.shape) == GREY_AXES:
            hidden = keras.layers.Reshape((*hidden.shape[1:], 1), name="channel")(hidden)
        hidden = _convolutions(recipe, hidden)
    if len(hidden.shape) > 2:  # noqa: PLR2004 - anything but (rows, columns)
        hidden = keras.layers.Flatten(name="flatten")(hidden)
    hidden = _dense(recipe, hidden)
    logits = keras.layers.Dense(
        classes, dtype="float32", kernel_regularizer=_regularizer(recipe), name="logits"
    )(hidden)
    return keras.Model(inputs, logits, name="classifier")


def build_optimizer(recipe: Recipe, total_steps: int) -> keras.optimizers.Optimizer:
    """Return the update rule; `Cosine` falls to 0 at `total_steps`."""
    rate: Any = number(recipe.optimizer.learning_rate)
    if recipe.optimizer.schedule is Schedule.COSINE:
        rate = keras.optimizers.schedules.CosineDecay(rate, decay_steps=total_steps)
    return OPTIMIZERS[recipe.optimizer.name](learning_rate=rate)


def _scaling(task: Task, train: Dataset) -> keras.layers.Layer:
    """Return the layer that brings raw values into the range that networks learn well in."""
    if task is Task.TABULAR_CLASSIFICATION:
        layer = keras.layers.Normalization(name="scaling")
        layer.adapt(train.features)
        return layer
    largest = float(np.abs(train.features).max())
    return keras.layers.Rescaling(1.0 / largest if largest else 1.0, name="scaling")


def _convolutions(recipe: Recipe, hidden: Any) -> Any:
    """Append the convolutional layers, each with its pooling."""
    for index, layer in enumerate(recipe.architecture.convolutions):
        if layer.padding is Padding.VALID:
            _require_room(index, "kernelSize", layer.kernel_size, hidden.shape)
        hidden = keras.layers.Conv2D(
            layer.filters,
            layer.kernel_size,
            padding=layer.padding.lower(),
            activation=recipe.architecture.activation.lower(),
            kernel_regularizer=_regularizer(recipe),
            name=f"convolution_{index}",
        )(hidden)
        if layer.pool_size > 1:
            _require_room(index, "poolSize", layer.pool_size, hidden.shape)
            hidden = keras.layers.MaxPooling2D(layer.pool_size, name=f"pooling_{index}")(hidden)
    return hidden


def _require_room(index: int, field: str, side: int, shape: tuple[int, ...]) -> None:
    """Refuse a kernel or pooling window that is larger than what it slides over."""
    height, width = shape[1:3]
    if min(height, width) < side:
        raise BadConfiguration(
            f"recipe.architecture.convolutions[{index}].{field} is {side}, "
            f"but only {height}x{width} pixels are left at this layer.",
            "Pool less, or train on larger images.",
        )


def _dense(recipe: Recipe, hidden: Any) -> Any:
    """Append the hidden dense layers and the dropout before the output."""
    for index, units in enumerate(recipe.architecture.dense_units):
        hidden = keras.layers.Dense(
            units,
            activation=recipe.architecture.activation.lower(),
            kernel_regularizer=_regularizer(recipe),
            name=f"dense_{index}",
        )(hidden)
    rate = number(recipe.regularization.dropout)
    return keras.layers.Dropout(rate, seed=recipe.seed, name="dropout")(hidden) if rate else hidden


def _regularizer(recipe: Recipe) -> keras.regularizers.Regularizer | None:
    """Return the penalty on kernels, if any."""
    weight = number(recipe.regularization.l2)
    return keras.regularizers.L2(weight) if weight else None
