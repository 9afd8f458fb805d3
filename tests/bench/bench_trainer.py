"""The trainer's own loop beside `keras fit`: the same model, the same rows, taking turns.

`make bench ONLY=trainer`, or `python tests/bench/bench_trainer.py [ROUNDS]`.
CPU time per step is the steadier figure where other programs share the machine.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator"), str(ROOT / "trainer")]
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

from modelyard.api.data import DataSource  # noqa: E402
from modelyard.api.recipe import Recipe  # noqa: E402
from modelyard.api.store import LocalStoreSettings, ModelKeys  # noqa: E402
from modelyard.store.client import connect  # noqa: E402
from modelyard_trainer.checkpoint import Checkpoints  # noqa: E402
from modelyard_trainer.dataset import Dataset  # noqa: E402
from modelyard_trainer.learner import Learner, make_deterministic  # noqa: E402
from modelyard_trainer.loop import Loop  # noqa: E402
from modelyard_trainer.model import build_model, build_optimizer  # noqa: E402
from modelyard_trainer.order import Order  # noqa: E402
from modelyard_trainer.progress import Progress  # noqa: E402

ROUNDS = 7
EPOCHS_PER_ROUND = 4
CLASSES = 10
PEER = "keras fit"
JUDGED = "own loop, checkpoint each 200"
TARGET = 1.0
"""Steps per second of our loop, with all that it does beside, against Keras' own."""

NETWORKS: dict[str, dict[str, Any]] = {
    "MLP 128-64": {"name": "MLP", "denseUnits": [128, 64]},
    "CNN 16-32": {
        "name": "CNN",
        "convolutions": [{"filters": 16, "poolSize": 2}, {"filters": 32}],
        "denseUnits": [64],
    },
}


@dataclass(frozen=True)
class Turn:
    """One timed run."""

    steps_per_second: float
    cpu_ms_per_step: float


def timed(run: Callable[[], None], steps: int) -> Turn:
    """Time `run`, which does `steps` steps."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    cpu_seconds = time.process_time() - cpu
    return Turn(steps / (time.perf_counter() - wall), 1000 * cpu_seconds / steps)


def rows() -> Dataset:
    """Return scikit-learn's digits."""
    source = DataSource.model_validate(
        {
            "name": "train",
            "uri": "s3://datasets/digits/train.npz",
            "format": "Npz",
            "schema": {"features": ["image"], "label": "label"},
        }
    )
    found = load_digits()
    features = found.images.astype(np.float32)
    return Dataset(source, "sha256:" + "0" * 64, features, found.target.astype(np.int64))


def recipe_of(architecture: dict[str, Any]) -> Recipe:
    """Return the recipe that both ways train."""
    return Recipe.model_validate(
        {
            "task": "ImageClassification",
            "architecture": architecture,
            "regularization": {"dropout": "0.2"},
            "epochs": EPOCHS_PER_ROUND,
        }
    )


def fit_turn(recipe: Recipe, data: Dataset) -> Callable[[], None]:
    """Return a round of `model.fit`, shuffled, compiled before."""
    model = build_model(recipe, data, CLASSES)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=build_optimizer(recipe, 1000), loss=loss, jit_compile=False)

    def run() -> None:
        model.fit(
            data.features,
            data.labels,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            verbose=0,
        )

    run()
    return run


def own_turn(recipe: Recipe, data: Dataset, folder: Path, every_steps: int) -> Callable[[], None]:
    """Return a round of our loop: steps, loss checks, progress, evaluation and checkpoints."""
    learner = Learner(build_model(recipe, data, CLASSES), build_optimizer(recipe, 1000))
    order = Order(data.rows, recipe.batch_size, recipe.epochs, recipe.seed)
    folder.mkdir(exist_ok=True)
    store = connect(LocalStoreSettings(endpoint=f"file://{folder}"))
    checkpoints = Checkpoints(store, ModelKeys("", "bench", "digits"), "uid", 1, 2, folder)

    def run() -> None:
        Loop(
            learner=learner,
            order=order,
            train=data,
            evaluation=data,
            checkpoints=checkpoints,
            every_steps=every_steps,
            progress=Progress(1),
            stop=Event(),
        ).run(0)

    run()
    return run


def bare_turn(recipe: Recipe, data: Dataset) -> Callable[[], None]:
    """Return a round of bare steps, the loss read once at the end."""
    learner = Learner(build_model(recipe, data, CLASSES), build_optimizer(recipe, 1000))
    order = Order(data.rows, recipe.batch_size, recipe.epochs, recipe.seed)

    def run() -> None:
        for step in range(order.total_steps):
            chosen = order.indices(step)
            loss = learner.train(data.features[chosen], data.labels[chosen])
        float(loss)

    run()
    return run


def compare(network: str, data: Dataset, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Let all ways take turns on one network."""
    recipe = recipe_of(NETWORKS[network])
    steps = Order(data.rows, recipe.batch_size, recipe.epochs, 0).total_steps
    ways = {
        PEER: fit_turn(recipe, data),
        "own step": bare_turn(recipe, data),
        JUDGED: own_turn(recipe, data, folder / network.replace(" ", "-"), 200),
        "own loop, checkpoint each 20": own_turn(
            recipe, data, folder / network.replace(" ", "-"), 20
        ),
    }
    turns: dict[str, list[Turn]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            turns[way].append(timed(run, steps))
    return [line_of(network, way, taken, turns[PEER]) for way, taken in turns.items()]


def line_of(network: str, way: str, taken: list[Turn], peer: list[Turn]) -> dict[str, Any]:
    """Return one line of the table; it is compared with the peer's turn of the same round."""
    times = median(
        ours.steps_per_second / theirs.steps_per_second
        for ours, theirs in zip(taken, peer, strict=True)
    )
    judged = way == JUDGED
    return {
        "network": network,
        "way": way,
        "steps_per_second_median": round(median(t.steps_per_second for t in taken), 1),
        "steps_per_second_best": round(max(t.steps_per_second for t in taken), 1),
        "cpu_ms_per_step_median": round(median(t.cpu_ms_per_step for t in taken), 3),
        "times_keras_fit": round(times, 2),
        "target": TARGET if judged else None,
        "verdict": ("met" if times >= TARGET else "missed") if judged else None,
    }


def main() -> None:
    """Print the table, then one JSON object."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    make_deterministic(1)
    data = rows()
    with TemporaryDirectory() as folder:
        lines = [line for n in NETWORKS for line in compare(n, data, rounds, Path(folder))]
    title = f"Training steps, batch 32, {rounds} interleaved rounds, {os.cpu_count()} cores"
    table = Table(*lines[0], title=title)
    for line in lines:
        table.add_row(*("" if value is None else str(value) for value in line.values()))
    Console(width=140).print(table)
    print(json.dumps({"bench": "trainer", "rounds": rounds, "results": lines}))


if __name__ == "__main__":
    main()
