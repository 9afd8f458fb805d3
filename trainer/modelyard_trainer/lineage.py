"""What a version came from, as the trainer saw it."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version

import tensorflow as tf

from modelyard.api.manifest import canonical_json, digest_of
from modelyard.api.recipe import Recipe
from modelyard.api.version import DatasetLineage, Lineage
from modelyard_trainer.dataset import Dataset

ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
MAX_TEXT = 256


def lineage(recipe: Recipe, datasets: Iterable[Dataset]) -> Lineage:
    """Return the data with digests, the recipe's digest, the seed and the environment."""
    return Lineage(
        datasets=tuple(
            DatasetLineage(name=d.source.name, uri=d.source.uri, digest=d.digest, rows=d.rows)
            for d in datasets
        ),
        recipe_digest=digest_of(canonical_json(recipe.dump())),
        seed=recipe.seed,
        environment=environment(),
    )


def environment() -> dict[str, str]:
    """Return what, besides recipe and data, decides the bits of the result."""
    return {
        "tensorflow": tf.__version__,
        "keras": version("keras"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": _processor(),
        "cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0),
        "device": _device(),
        "onednn": os.environ.get(ONEDNN_VARIABLE, "default"),
    }


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if "model name" in line)
            return next(names, "unknown")[:MAX_TEXT]
    except OSError:
        return platform.processor()[:MAX_TEXT] or "unknown"


def _device() -> str:
    """Return the names of the GPUs, or `cpu`."""
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(g).get("device_name", "gpu") for g in gpus]
    return ", ".join(names)[:MAX_TEXT] or "cpu"
