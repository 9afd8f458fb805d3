"""ModelDeployment: which version is served, and how."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.meta import (
    Condition,
    Digest,
    DnsLabel,
    Message,
    Model,
    ModelName,
    ObjectMeta,
    ObjectName,
    Observed,
    Resources,
    ShortText,
    Timestamp,
)
from modelyard.api.rollout import (
    CheckStatus,
    HandledCommand,
    HistoryEntry,
    JudgeRecord,
    RolloutSpec,
    StepStatus,
)
from modelyard.api.rollout_gates import ReleaseGateResult
from modelyard.api.traffic import TrafficSpec, TrafficStatus
from modelyard.api.version import GoldenSet


class ServingRuntime(StrEnum):
    """The server program."""

    TENSORFLOW_SERVING = "TensorFlowServing"


class ServerSpec(Model):
    """The server of each version; a change of this block is a rollout."""

    runtime: ServingRuntime = ServingRuntime.TENSORFLOW_SERVING
    """The server program."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the server; the operator's default if absent."""

    resources: Resources = Resources()
    """CPU and memory of the server container."""

    load_deadline_seconds: Annotated[int, Field(ge=10, le=86400)] = 900
    """Seconds a version has to become ready before the rollout fails."""

    drain_seconds: Annotated[int, Field(ge=0, le=600)] = 10
    """Seconds a stopping server keeps answering while endpoints propagate, and the age at which a
    gRPC connection is renewed, so that none is left when it stops; above the longest request."""


class ModelDeploymentSpec(Model):
    """Which version is served, and how."""

    model_version_name: ObjectName
    """The ModelVersion to serve: the only line that a release edits."""

    server: ServerSpec = ServerSpec()
    """The server of each version."""

    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Pods of the serving version."""

    traffic: TrafficSpec = TrafficSpec()
    """How requests reach the serving versions."""

    rollout: RolloutSpec = RolloutSpec()
    """How a new version takes over."""

    paused: bool = False
    """Hold a rollout where it is; failing checks still end it."""

    revision_history_limit: Annotated[int, Field(ge=0, le=50)] = 10
    """Changes that the history keeps."""


class DeploymentPhase(StrEnum):
    """Where a deployment is; for printing only."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"


class ServedVersion(Observed):
    """One version that has pods."""

    model_version_name: ObjectName
    """Name of the ModelVersion."""

    model_name: ModelName
    """Model it is a version of."""

    version: int
    """Number within the model."""

    revision: Annotated[str, Field(max_length=16)]
    """Hash of artifact and server block: names its Deployment and Service."""

    digest: Digest
    """Manifest digest that the pods must serve."""

    store_name: DnsLabel
    """Store that the pods fetch it from."""

    server: ServerSpec
    """The server block it was brought up with: its pods can be built again from this record."""

    golden_set: GoldenSet | None = None
    """Recorded predictions that its pods must reproduce."""

    served_digest: Digest | None = None
    """Manifest digest that the pods report."""

    ready_replicas: int = 0
    """Pods that passed their golden predictions."""

    since: Timestamp
    """When this role began."""


class WarmVersion(Observed):
    """A version that stays loaded without traffic, so that going back to it is one write."""

    version: ServedVersion
    """What is loaded."""

    until: Timestamp
    """When it is let go."""


class ModelDeploymentStatus(Observed):
    """What the operator knows of a deployment."""

    observed_generation: int = 0
    """Generation of the spec that this status speaks of."""

    phase: DeploymentPhase = DeploymentPhase.PENDING
    """Where the deployment is; for printing only."""

    replicas: int = 0
    """Pods of the serving version, for the scale subresource."""

    ready_replicas: int = 0
    """Ready pods of the serving version."""

    ready: ShortText | None = None
    """Ready and wanted pods as `1/2`, for printing."""

    selector: ShortText | None = None
    """Label selector of the serving version's pods, for the scale subresource."""

    stable: ServedVersion | None = None
    """The version that gets the traffic."""

    canary: ServedVersion | None = None
    """The version that is coming up."""

    warm: WarmVersion | None = None
    """The version that served before."""

    step: StepStatus | None = None
    """Where the rollout is; absent while the new version loads."""

    gates: Annotated[tuple[ReleaseGateResult, ...], Field(max_length=16)] = ()
    """What the gates say of the version that the spec names."""

    traffic: TrafficStatus | None = None
    """How requests are divided; absent without a gateway."""

    analysis: Annotated[tuple[CheckStatus, ...], Field(max_length=8)] = ()
    """What the checks say, of the present rollout or of the last one."""

    judge: JudgeRecord | None = None
    """What the checks remember between two looks."""

    blocked_version: ShortText | None = None
    """Version and revision that failed; not tried again until the spec changes, or by retry."""

    last_handled_command: HandledCommand | None = None
    """The last order that was looked at."""

    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=50)] = ()
    """What was served before and why it changed, newest first."""

    message: Message | None = None
    """The present obstacle in plain words."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """The aspects of this deployment."""


class ModelDeployment(Observed):
    """A served model: one stable address, one version at a time."""

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()
