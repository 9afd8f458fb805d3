"""Recipes: training without code. Each field changes what the trainer builds."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.meta import DecimalString, Model


class Task(StrEnum):
    """What is learnt from the data."""

    IMAGE_CLASSIFICATION = "ImageClassification"
    TABULAR_CLASSIFICATION = "TabularClassification"


class ArchitectureName(StrEnum):
    """The family of networks."""

    MLP = "MLP"
    CNN = "CNN"


class Activation(StrEnum):
    """The non-linearity after each hidden layer."""

    RELU = "ReLU"
    GELU = "GELU"
    TANH = "Tanh"


class OptimizerName(StrEnum):
    """The update rule."""

    ADAM = "Adam"
    ADAM_W = "AdamW"
    SGD = "SGD"


class Schedule(StrEnum):
    """How the learning rate changes over the run."""

    CONSTANT = "Constant"
    COSINE = "Cosine"


class LossName(StrEnum):
    """The quantity that training lowers."""

    SPARSE_CATEGORICAL_CROSSENTROPY = "SparseCategoricalCrossentropy"


class Padding(StrEnum):
    """What a convolution does at the border of the image."""

    SAME = "Same"
    VALID = "Valid"


class Convolution(Model):
    """One Conv2D layer, and the MaxPooling2D that may follow it."""

    filters: Annotated[int, Field(ge=1, le=2048)]
    """Number of output channels."""

    kernel_size: Annotated[int, Field(ge=1, le=15)] = 3
    """Side of the square kernel, in pixels."""

    padding: Padding = Padding.SAME
    """Same adds a border of zeros, so that the image keeps its size; Valid adds none."""

    pool_size: Annotated[int, Field(ge=1, le=8)] = 1
    """Side of the max-pooling window after the layer, in pixels; 1 means no pooling."""


class Architecture(Model):
    """The network: its family and its sizes."""

    name: ArchitectureName
    """The family of networks."""

    convolutions: Annotated[tuple[Convolution, ...], Field(max_length=32)] = ()
    """Convolutional layers from input to output; required for CNN, refused for MLP."""

    dense_units: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(max_length=16)
    ] = ()
    """Widths of the hidden dense layers before the output layer."""

    activation: Activation = Activation.RELU
    """The non-linearity after each hidden layer."""


class Regularization(Model):
    """What keeps the network from fitting noise."""

    l2: DecimalString = "0"
    """Weight of the squared kernel norm in the loss."""

    dropout: DecimalString = "0"
    """Share of units dropped before the output layer while training, from 0 up to below 1."""


class Optimizer(Model):
    """How the weights are changed."""

    name: OptimizerName = OptimizerName.ADAM
    """The update rule."""

    learning_rate: DecimalString = "0.001"
    """Step size at the start."""

    schedule: Schedule = Schedule.CONSTANT
    """How the learning rate changes over the run."""


class Loss(Model):
    """What training lowers."""

    name: LossName = LossName.SPARSE_CATEGORICAL_CROSSENTROPY
    """The loss function."""


class Recipe(Model):
    """A training without own code: task, network, optimiser and sizes."""

    task: Task
    """What is learnt from the data."""

    architecture: Architecture
    """The network."""

    regularization: Regularization = Regularization()
    """What keeps the network from fitting noise."""

    optimizer: Optimizer = Optimizer()
    """How the weights are changed."""

    loss: Loss = Loss()
    """What training lowers."""

    batch_size: Annotated[int, Field(ge=1, le=65536)] = 32
    """Examples per step."""

    epochs: Annotated[int, Field(ge=1, le=100000)] = 10
    """Passes over the training data."""

    seed: Annotated[int, Field(ge=0, le=2147483647)] = 42
    """Seed of initial weights, data order and dropout: the same seed repeats the run bit by bit."""
