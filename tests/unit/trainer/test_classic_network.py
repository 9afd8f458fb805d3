"""The small convolutional network of every introduction to Keras, as it stands in a recipe."""

import keras
import numpy as np
import pytest

from modelyard.api.recipe import Task
from modelyard_trainer.dataset import read_dataset
from modelyard_trainer.learner import Learner
from modelyard_trainer.model import build_model, build_optimizer
from tests.unit.trainer.making import digits, make_recipe, make_source, write_npz

RECIPE = make_recipe(
    architecture={
        "name": "CNN",
        "convolutions": [
            {"filters": 32, "kernelSize": 3, "padding": "Valid", "poolSize": 2},
            {"filters": 64, "kernelSize": 3, "padding": "Valid", "poolSize": 2},
            {"filters": 64, "kernelSize": 3, "padding": "Valid"},
        ],
        "denseUnits": [64],
        "activation": "ReLU",
    },
    optimizer={"name": "Adam"},
    loss={"name": "SparseCategoricalCrossentropy"},
)
BATCH = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Digits of 24x24 pixels, from 0 to 16."""
    images, labels = digits(BATCH)
    path = tmp_path_factory.mktemp("classic") / "train.npz"
    write_npz(path, np.kron(images, np.ones((1, 3, 3))), labels)
    return read_dataset(make_source(), path, "sha256:" + "a" * 64, Task.IMAGE_CLASSIFICATION)


@pytest.fixture
def classic():
    """The network in the words of the introduction."""
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((24, 24, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(optimizer="adam", loss="sparse_categorical_crossentropy", jit_compile=False)
    return network


def test_recipe_and_introduction_are_the_same_network_and_learn_the_same(data, classic):
    keras.utils.set_random_seed(RECIPE.seed)  # how far five steps lead depends on where they begin
    learner = Learner(build_model(RECIPE, data, 10), build_optimizer(RECIPE, 100))
    classic.set_weights(learner.model.get_weights())
    images = data.features[..., np.newaxis] / 16
    before = classic.predict(images, verbose=0)
    np.testing.assert_allclose(learner.probabilities(data.features), before, atol=1e-6)

    for _ in range(5):
        ours = float(learner.train(data.features, data.labels))
        theirs = float(classic.train_on_batch(images, data.labels))
        assert ours == pytest.approx(theirs, rel=1e-3)
        # Keras reports the mean over the steps since the last reset.
        classic.reset_metrics()
    after = classic.predict(images, verbose=0)
    assert np.abs(after - before).max() > 0.05
    np.testing.assert_allclose(learner.probabilities(data.features), after, atol=1e-3)
