"""ModelTraining: what to train, on what data and hardware, and what it must reach."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.data import DataSource
from modelyard.api.meta import (
    Condition,
    DecimalString,
    Digest,
    DnsLabel,
    Message,
    Model,
    ModelName,
    ObjectMeta,
    Observed,
    Resources,
    ShortText,
    Timestamp,
)
from modelyard.api.reasons import FailureCategory
from modelyard.api.recipe import Recipe


class Accelerator(Model):
    """The GPUs of a training."""

    resource_name: Annotated[
        str, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", max_length=128)
    ] = "nvidia.com/gpu"
    """Extended resource that the device plugin offers."""

    count: Annotated[int, Field(ge=0, le=64)] = 0
    """Devices requested; 0 trains on the CPU."""


class Compute(Model):
    """The hardware of a training."""

    accelerator: Accelerator = Accelerator()
    """The GPUs."""

    resources: Resources = Resources()
    """CPU and memory of the trainer container."""


class CheckpointPolicy(Model):
    """When the state of a run is saved, so that it can resume exactly."""

    every_steps: Annotated[int, Field(ge=1, le=10000000)] = 200
    """Steps between two checkpoints."""

    keep_last: Annotated[int, Field(ge=1, le=100)] = 3
    """Complete checkpoints kept per run."""

    termination_grace_period_seconds: Annotated[int, Field(ge=5, le=3600)] = 60
    """Seconds a stopped pod has to save its last checkpoint."""


class Direction(StrEnum):
    """Whether more or less of a metric is better."""

    MAXIMIZE = "Maximize"
    MINIMIZE = "Minimize"


class PrimaryMetric(Model):
    """The metric that `kubectl get` shows and versions are compared by."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)] = "accuracy"
    """Name of the metric."""

    direction: Direction = Direction.MAXIMIZE
    """Whether more or less is better."""


class GateOperator(StrEnum):
    """How the observed value is compared with the required one."""

    GREATER_THAN_OR_EQUAL = "GreaterThanOrEqual"
    LESS_THAN_OR_EQUAL = "LessThanOrEqual"


class Gate(Model):
    """A condition on the evaluation that must hold before a version may exist."""

    name: DnsLabel
    """Name of the gate in status and metrics."""

    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    """Metric that is judged."""

    operator: GateOperator = GateOperator.GREATER_THAN_OR_EQUAL
    """How observed and required value are compared."""

    value: DecimalString
    """The required value."""


class Evaluation(Model):
    """How the trained model is measured, and what it must reach."""

    data_name: DnsLabel = "eval"
    """Name of the data set that the model has not seen in training."""

    primary_metric: PrimaryMetric = PrimaryMetric()
    """The metric that is shown first."""

    gates: Annotated[tuple[Gate, ...], Field(max_length=32)] = ()
    """Conditions that must all hold; otherwise the run is Rejected and no version exists."""


class ModelTrainingSpec(Model):
    """What to train, on what data and hardware, and what it must reach; immutable."""

    model_name: ModelName
    """Model that a version is made of; versions are numbered within it."""

    store_name: DnsLabel = "default"
    """Store (of the operator's configuration) that holds data, checkpoints and versions."""

    recipe: Recipe
    """The training in typed fields."""

    data: Annotated[tuple[DataSource, ...], Field(min_length=1, max_length=16)]
    """The data sets; `train` and the one that `evaluation.dataName` names are required."""

    compute: Compute = Compute()
    """The hardware."""

    checkpoint: CheckpointPolicy = CheckpointPolicy()
    """When the state is saved."""

    evaluation: Evaluation = Evaluation()
    """How the result is measured, and what it must reach."""

    max_retries: Annotated[int, Field(ge=0, le=20)] = 2
    """Further attempts after failures of the program."""

    max_interruptions: Annotated[int, Field(ge=0, le=1000)] = 20
    """Further attempts after preemption, drain or loss of the node; a budget of its own."""


class TrainingPhase(StrEnum):
    """Where a training is; for printing only, the conditions are the truth."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    INTERRUPTED = "Interrupted"
    EVALUATING = "Evaluating"
    REGISTERING = "Registering"
    SUCCEEDED = "Succeeded"
    REJECTED = "Rejected"
    FAILED = "Failed"


class TrainingProgress(Observed):
    """How far the running attempt is, as its pod reported."""

    step: int
    """Steps done."""

    total_steps: int
    """Steps in all."""

    epoch: int
    """Epoch under way, counted from 1."""

    total_epochs: int
    """Epochs in all."""

    percent: int
    """Steps done in percent of all."""

    estimated_remaining_seconds: int | None = None
    """Seconds left at the present speed."""

    examples_per_second: DecimalString | None = None
    """Speed over the last report interval."""

    steps_per_second: DecimalString | None = None
    """The same speed in steps."""

    last_report_time: Timestamp
    """When the pod last answered."""


class MetricValue(Observed):
    """The latest and best value of one metric."""

    name: Annotated[str, Field(max_length=64)]
    """Name of the metric."""

    value: DecimalString
    """Latest value."""

    best: DecimalString | None = None
    """Best value so far."""

    step: int | None = None
    """Step of the latest value."""


class CheckpointStatus(Observed):
    """The newest complete checkpoint."""

    step: int
    """Step it was taken at."""

    time: Timestamp
    """When it became complete."""


class Interruption(Observed):
    """One attempt that ended without fault of the program."""

    attempt: int
    """Number of the attempt."""

    reason: ShortText
    """What ended it."""

    time: Timestamp
    """When the operator saw it."""

    last_step: int | None = None
    """Last step that was reported."""

    resumed_from_step: int | None = None
    """Step the next attempt resumed from."""

    steps_lost: int | None = None
    """Steps that had to be done again."""


class GateResult(Observed):
    """What a gate saw and what it wanted."""

    name: DnsLabel
    """Name of the gate."""

    metric: Annotated[str, Field(max_length=64)]
    """Metric that was judged."""

    operator: GateOperator
    """How the values were compared."""

    observed: DecimalString | None = None
    """Value of the evaluation; absent if the trainer reported no such metric."""

    required: DecimalString
    """Value of the spec."""

    verdict: Literal["Passed", "Failed"]
    """Whether the gate let the model through."""


class EvaluationStatus(Observed):
    """The verdict on the trained model."""

    verdict: Literal["Passed", "Failed"]
    """Whether all gates passed."""

    gates: Annotated[tuple[GateResult, ...], Field(max_length=32)] = ()
    """Each gate with its values."""


class FailureStatus(Observed):
    """Why an attempt failed, and what to do."""

    category: FailureCategory
    """Kind of failure."""

    attempt: int
    """Number of the attempt."""

    exit_code: int | None = None
    """Exit code of the trainer container."""

    pod_name: ShortText | None = None
    """Pod that failed."""

    node_name: ShortText | None = None
    """Node the pod ran on."""

    message: Message
    """What happened."""

    hint: Message
    """What to do about it."""

    log_tail: Annotated[str, Field(max_length=2048)] | None = None
    """End of the container's log."""


class ModelTrainingStatus(Observed):
    """What the operator knows of a training."""

    observed_generation: int = 0
    """Generation of the spec that this status speaks of."""

    phase: TrainingPhase = TrainingPhase.PENDING
    """Where the training is; for printing only."""

    attempt: int = 0
    """Number of the present attempt; 0 before the first."""

    retries: int = 0
    """Attempts that failed by the program's fault."""

    interruptions: Annotated[tuple[Interruption, ...], Field(max_length=50)] = ()
    """Attempts that ended without the program's fault, newest last (50 kept)."""

    interruption_count: int = 0
    """Number of all such attempts."""

    job_name: DnsLabel | None = None
    """Job of the present attempt."""

    node_name: ShortText | None = None
    """Node that the present attempt runs on."""

    start_time: Timestamp | None = None
    """When the first attempt was decided."""

    completion_time: Timestamp | None = None
    """When a terminal condition was reached."""

    progress: TrainingProgress | None = None
    """How far the present attempt is."""

    metrics: Annotated[tuple[MetricValue, ...], Field(max_length=32)] = ()
    """Latest and best values."""

    primary_metric: ShortText | None = None
    """The spec's primary metric as `name=value`: after the last epoch while it trains, then as
    evaluated; for printing."""

    checkpoint: CheckpointStatus | None = None
    """The newest complete checkpoint."""

    evaluation: EvaluationStatus | None = None
    """The verdict on the trained model."""

    failure: FailureStatus | None = None
    """Why the last failed attempt failed."""

    model_version_name: ShortText | None = None
    """The version that came of this training."""

    manifest_digest: Digest | None = None
    """Digest of the manifest the trainer committed."""

    version: int | None = None
    """Version number the trainer claimed."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """The aspects of this training."""


class ModelTraining(Observed):
    """A training run whose result becomes a ModelVersion if it passes its gates."""

    metadata: ObjectMeta
    spec: ModelTrainingSpec
    status: ModelTrainingStatus = ModelTrainingStatus()
