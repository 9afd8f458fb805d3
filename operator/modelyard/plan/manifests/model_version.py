"""The ModelVersion of a committed manifest: created once, and no child of the training."""

from typing import Any

from modelyard.api import names
from modelyard.api.manifest import Manifest
from modelyard.api.training import ModelTraining
from modelyard.api.version import Artifact, Lineage, ModelVersionSpec, VersionSource
from modelyard.plan.failure import TRAINER
from modelyard.plan.observed import PodView

Json = dict[str, Any]

IDENTITY = ("spec.source.training.uid", "spec.artifact.manifestDigest")
"""Paths that must equal an existing ModelVersion's for it to count as this one."""


def model_version(
    training: ModelTraining, manifest: Manifest, digest: str, pod: PodView | None
) -> Json:
    """Build the ModelVersion; image and node are completed from the pod if it is still known.

    It is born with its finalizer, so that no deletion can slip in before the artifact is guarded.
    """
    meta = training.metadata
    spec = ModelVersionSpec(
        model_name=manifest.model_name,
        version=manifest.version,
        source=VersionSource(training=manifest.source),
        artifact=_artifact(training, manifest, digest),
        signatures=manifest.signatures,
        metrics=_primary_first(manifest),
        lineage=_lineage(training, manifest, pod),
        golden_set=manifest.golden_set,
    )
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": names.version_name(manifest.model_name, manifest.version),
            "namespace": meta.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "modelyard",
                names.LABEL_MODEL: manifest.model_name,
                names.LABEL_TRAINING: meta.name,
            },
            "finalizers": [names.FINALIZER_ARTIFACT],
        },
        "spec": spec.dump(),
    }


def _artifact(training: ModelTraining, manifest: Manifest, digest: str) -> Artifact:
    return Artifact(
        store_name=training.spec.store_name,
        path=f"{training.metadata.namespace}/{manifest.model_name}/{manifest.version}/",
        manifest_digest=digest,
        files=len(manifest.files),
        bytes=manifest.total_bytes,
    )


def _primary_first(manifest: Manifest) -> tuple[Any, ...]:
    """Put the primary metric first: it is the one that `kubectl get` prints."""
    rank = {manifest.primary_metric: 0}
    return tuple(
        sorted(manifest.metrics, key=lambda m: (rank.get(m.name, 1), m.slice != "overall"))
    )


def _lineage(training: ModelTraining, manifest: Manifest, pod: PodView | None) -> Lineage:
    trainer = pod.container(TRAINER) if pod else None
    return manifest.lineage.model_copy(
        update={
            "image": (trainer.image_id if trainer else "") or None,
            "node_name": (pod.node_name if pod else training.status.node_name) or None,
        }
    )
