"""The run contract: what a trainer is told, what it reports, and how it ends.

A trainer gets one JSON object in the environment variable `MODELYARD_RUN`, answers `GET /progress`
and `GET /metrics` on port 8080 while it runs, and leaves one JSON object of at most 4 KiB as its
termination message. It needs no access to the Kubernetes API.
"""

from enum import IntEnum, StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.data import DataSource
from modelyard.api.meta import DecimalString, Digest, DnsLabel, Message, Model, ModelName, Observed
from modelyard.api.reasons import FailureCategory
from modelyard.api.recipe import Recipe
from modelyard.api.store import StoreSettings
from modelyard.api.training import CheckpointPolicy, Evaluation, MetricValue

RUN_VARIABLE = "MODELYARD_RUN"
TERMINATION_LOG = "/dev/termination-log"
MAX_TERMINATION_BYTES = 4096


class ExitCode(IntEnum):
    """How a trainer ends; anything else is a failure that may be retried."""

    DONE = 0
    BAD_CONFIGURATION = 64
    DATA_ERROR = 65
    DIVERGED = 70
    INTERRUPTED = 75
    KILLED = 137

    @property
    def permanent(self) -> bool:
        """Whether trying again cannot help."""
        return self in {ExitCode.BAD_CONFIGURATION, ExitCode.DATA_ERROR, ExitCode.DIVERGED}


class RunConfig(Model):
    """Everything a trainer is told."""

    namespace: DnsLabel
    training_name: str
    training_uid: Annotated[str, Field(min_length=1, max_length=64)]
    attempt: Annotated[int, Field(ge=1)]
    model_name: ModelName
    store: StoreSettings
    recipe: Recipe
    data: tuple[DataSource, ...]
    checkpoint: CheckpointPolicy
    evaluation: Evaluation


class RunPhase(StrEnum):
    """What the trainer is doing."""

    STARTING = "Starting"
    FETCHING = "Fetching"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    EXPORTING = "Exporting"
    PUBLISHING = "Publishing"


class ProgressReport(Observed):
    """The answer to `GET /progress`."""

    phase: RunPhase
    attempt: int
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    total_epochs: int = 0
    examples_per_second: DecimalString | None = None
    estimated_remaining_seconds: int | None = None
    metrics: tuple[MetricValue, ...] = ()
    resumed_from_step: int | None = None
    checkpoint_step: int | None = None


class RunResult(Observed):
    """The termination message: how the attempt ended."""

    exit_code: int
    category: FailureCategory | None = None
    """Set unless the run is done."""

    message: Message = ""
    hint: Message = ""
    last_step: int | None = None
    resumed_from_step: int | None = None
    checkpoint_step: int | None = None
    version: int | None = None
    """Claimed and committed version number, when done."""

    manifest_digest: Digest | None = None
    metrics: Annotated[tuple[MetricValue, ...], Field(max_length=16)] = ()
