"""ModelVersion: an immutable, verified artifact in the store, with its measurements and lineage."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.meta import (
    Condition,
    DecimalString,
    Digest,
    DnsLabel,
    Model,
    ModelName,
    ObjectMeta,
    ObjectName,
    Observed,
    ShortText,
)


class TensorSpec(Model):
    """One input or output of a signature."""

    name: Annotated[str, Field(max_length=128)]
    """Name used in requests and replies."""

    dtype: Annotated[str, Field(max_length=32)]
    """TensorFlow's name of the element type."""

    shape: Annotated[tuple[int, ...], Field(max_length=16)]
    """Sizes of the dimensions; -1 is free."""


class Signature(Model):
    """One callable entry of the SavedModel."""

    name: Annotated[str, Field(max_length=128)]
    """Name of the signature."""

    method: Annotated[str, Field(max_length=128)] = "tensorflow/serving/predict"
    """The serving API it answers to."""

    inputs: Annotated[tuple[TensorSpec, ...], Field(max_length=64)]
    """What it takes."""

    outputs: Annotated[tuple[TensorSpec, ...], Field(max_length=64)]
    """What it returns."""


class EvaluationMetric(Model):
    """One measured value."""

    name: Annotated[str, Field(max_length=64)]
    """Name of the metric."""

    value: DecimalString
    """Measured value."""

    data_name: DnsLabel
    """Data set it was measured on."""

    slice: Annotated[str, Field(max_length=64)] = "overall"
    """Part of the data: `overall`, or `class=<n>`."""


class DatasetLineage(Model):
    """A data set as the trainer saw it."""

    name: DnsLabel
    """Name in the training's spec."""

    uri: Annotated[str, Field(max_length=1024)]
    """Where it was read from."""

    digest: Digest
    """SHA-256 of the file."""

    rows: int
    """Examples in it."""


class Lineage(Model):
    """What a version came from."""

    datasets: Annotated[tuple[DatasetLineage, ...], Field(max_length=16)] = ()
    """The data sets that were read."""

    recipe_digest: Digest
    """SHA-256 of the recipe's canonical JSON."""

    seed: int
    """Seed of the run."""

    environment: Annotated[dict[str, ShortText], Field(max_length=32)] = Field(default_factory=dict)
    """Versions of the libraries and the machine that trained it."""

    image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the trainer, as the kubelet resolved it; completed by the operator."""

    node_name: ShortText | None = None
    """Node that trained it; completed by the operator."""


class TrainingSource(Model):
    """The training that a version came from."""

    name: ObjectName
    """Name of the ModelTraining."""

    uid: ShortText
    """Uid of the ModelTraining."""

    attempt: Annotated[int, Field(ge=1)]
    """Attempt that published it."""


class VersionSource(Model):
    """Where a version came from."""

    training: TrainingSource
    """The training that published it."""


class Artifact(Model):
    """Where the bytes are and what identifies them."""

    store_name: DnsLabel
    """Store of the operator's configuration."""

    path: Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9/]*/[0-9]+/$", max_length=256)]
    """Prefix below the store's own prefix: `<namespace>/<model>/<N>/`."""

    format: Annotated[str, Field(pattern=r"^SavedModel$", max_length=16)] = "SavedModel"
    """How the artifact is written."""

    manifest_digest: Digest
    """SHA-256 of the manifest: the identity of the version."""

    files: Annotated[int, Field(ge=1)]
    """Number of files."""

    bytes: Annotated[int, Field(ge=1)]
    """Bytes of all files."""


class GoldenSet(Model):
    """Recorded predictions that a server must reproduce before it gets traffic."""

    path: Annotated[str, Field(max_length=256)]
    """File inside the artifact."""

    samples: Annotated[int, Field(ge=1, le=1000)]
    """Number of recorded predictions."""


class ModelVersionSpec(Model):
    """What a version is; immutable."""

    model_name: ModelName
    """Model it is a version of."""

    version: Annotated[int, Field(ge=1, le=9007199254740991)]
    """Number within the model; TF-Serving's directory name."""

    source: VersionSource
    """Where it came from."""

    artifact: Artifact
    """Where the bytes are."""

    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=16)]
    """The callable entries."""

    metrics: Annotated[tuple[EvaluationMetric, ...], Field(max_length=256)] = ()
    """What was measured."""

    lineage: Lineage
    """What it came from."""

    golden_set: GoldenSet | None = None
    """Recorded predictions."""


class VersionPhase(StrEnum):
    """Where a version is; for printing only."""

    PENDING = "Pending"
    VERIFYING = "Verifying"
    READY = "Ready"
    QUARANTINED = "Quarantined"
    DELETING = "Deleting"
    FAILED = "Failed"


class ModelVersionStatus(Observed):
    """What the operator knows of a version."""

    observed_generation: int = 0
    """Generation of the spec that this status speaks of."""

    phase: VersionPhase = VersionPhase.PENDING
    """Where the version is; for printing only."""

    primary_metric: ShortText | None = None
    """The primary metric as `name=value`, for printing."""

    short_digest: Annotated[str, Field(max_length=12)] | None = None
    """First 12 digits of the manifest's digest, for printing."""

    size: Annotated[str, Field(max_length=16)] | None = None
    """Size of all files with its unit, for printing."""

    used_by: Annotated[tuple[ObjectName, ...], Field(max_length=64)] = ()
    """ModelDeployments that serve or load it."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """The aspects of this version."""


class ModelVersion(Observed):
    """An immutable model artifact with its measurements and lineage."""

    metadata: ObjectMeta
    spec: ModelVersionSpec
    status: ModelVersionStatus = ModelVersionStatus()
