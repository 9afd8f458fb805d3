"""What the trainers of this tier publish: small files in the place of a SavedModel."""

from pathlib import Path

from modelyard.api.manifest import ManifestDraft
from modelyard.api.run import RunConfig
from modelyard.api.version import (
    EvaluationMetric,
    GoldenSet,
    Lineage,
    Signature,
    TensorSpec,
    TrainingSource,
)
from tests.unit.store.artifacts import make_model

GOLDEN = "assets.extra/golden.json"


def model_folder(folder: Path) -> Path:
    """Write the files of a version, and return their folder."""
    golden = folder / GOLDEN
    golden.parent.mkdir(parents=True)
    golden.write_text("{}")
    return make_model(folder)


def draft(config: RunConfig) -> ManifestDraft:
    """Return what a trainer that was told `config` knows of its version; it passes every gate."""
    tensor = TensorSpec(name="image", dtype="float32", shape=(-1, 8, 8, 1))
    name = config.evaluation.primary_metric.name
    return ManifestDraft(
        model_name=config.model_name,
        namespace=config.namespace,
        source=TrainingSource(
            name=config.training_name, uid=config.training_uid, attempt=config.attempt
        ),
        signatures=(Signature(name="serving_default", inputs=(tensor,), outputs=(tensor,)),),
        metrics=(EvaluationMetric(name=name, value="0.97", data_name=config.evaluation.data_name),),
        primary_metric=name,
        lineage=Lineage(recipe_digest="sha256:" + "0" * 64, seed=config.recipe.seed),
        golden_set=GoldenSet(path=GOLDEN, samples=4),
    )
