"""Recipes, files and runs that the trainer's tests start from."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from modelyard.api.data import DataSource
from modelyard.api.recipe import Recipe
from modelyard.api.run import RunConfig
from modelyard.api.store import LocalStoreSettings

UID = "6e1c0f3a"
CNN = {"name": "CNN", "convolutions": [{"filters": 8, "poolSize": 2}], "denseUnits": [32]}
MLP = {"name": "MLP", "denseUnits": [32]}


def make_recipe(**changes):
    fields = {"task": "ImageClassification", "architecture": MLP, "epochs": 2, "seed": 3}
    return Recipe.model_validate(fields | changes)


def make_source(name="train", **changes):
    fields = {
        "name": name,
        "uri": f"s3://datasets/digits/{name}.npz",
        "format": "Npz",
        "schema": {"features": ["image"], "label": "label"},
    }
    return DataSource.model_validate(fields | changes)


def make_csv_source(name="train", **changes):
    return make_source(
        name,
        uri=f"s3://datasets/tumours/{name}.csv",
        format="Csv",
        schema={"features": ["radius", "texture"], "label": "malignant"},
        **changes,
    )


def make_config(folder, recipe=None, **changes):
    fields = {
        "namespace": "team",
        "training_name": "digits",
        "training_uid": UID,
        "attempt": 1,
        "model_name": "digits",
        "store": LocalStoreSettings(endpoint=f"file://{folder}"),
        "recipe": recipe or make_recipe(),
        "data": (make_source(), make_source("eval")),
        "checkpoint": {"everySteps": 10, "keepLast": 2},
        "evaluation": {},
    }
    return RunConfig.model_validate(fields | changes)


def digits(rows=600):
    """Return real handwritten digits: images of 8x8 pixels from 0 to 16, and their classes."""
    found = load_digits()
    return found.images[:rows], found.target[:rows]


def write_npz(path: Path, image, label):
    np.savez(path, image=image, label=label)
    return path


def write_digits(folder: Path, rows=600):
    """Write train.npz and eval.npz (every fourth row); return both paths by name."""
    images, labels = digits(rows)
    held_out = np.arange(rows) % 4 == 0
    return {
        "train": write_npz(folder / "train.npz", images[~held_out], labels[~held_out]),
        "eval": write_npz(folder / "eval.npz", images[held_out], labels[held_out]),
    }


def write_tumours(path: Path, rows=400):
    """Write two columns of the breast cancer data and the diagnosis as CSV."""
    found = load_breast_cancer()
    lines = ["id,radius,texture,malignant"]
    lines += [
        f"{i},{row[0]},{row[1]},{label}"
        for i, (row, label) in enumerate(zip(found.data[:rows], found.target[:rows], strict=True))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
