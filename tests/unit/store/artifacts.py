"""Small SavedModel-like directories and their drafts."""

from pathlib import Path

from modelyard.api.manifest import ManifestDraft
from modelyard.api.store import ModelKeys
from modelyard.api.version import (
    EvaluationMetric,
    Lineage,
    Signature,
    TensorSpec,
    TrainingSource,
)

KEYS = ModelKeys("base/", "team", "digits")
FILES = (
    "fingerprint.pb",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
)


def make_draft(uid: str = "uid-a", attempt: int = 1) -> ManifestDraft:
    tensor = TensorSpec(name="x", dtype="float32", shape=(-1, 4))
    return ManifestDraft(
        model_name="digits",
        namespace="team",
        source=TrainingSource(name=f"training-{uid}", uid=uid, attempt=attempt),
        signatures=(Signature(name="serving_default", inputs=(tensor,), outputs=(tensor,)),),
        metrics=(EvaluationMetric(name="accuracy", value="0.98", data_name="test"),),
        primary_metric="accuracy",
        lineage=Lineage(recipe_digest="sha256:" + "0" * 64, seed=1),
    )


def make_model(folder: Path, content: str = "first") -> Path:
    """Write a directory whose files all depend on `content`."""
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content} {name}\n" * 20)
    return folder
