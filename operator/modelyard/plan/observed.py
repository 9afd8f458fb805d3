"""What a planner may know of the world: frozen snapshots, gathered beforehand."""

from dataclasses import dataclass
from typing import Literal

from modelyard.api.config import Images
from modelyard.api.manifest import Manifest
from modelyard.api.run import ProgressReport
from modelyard.api.serve import ServerCounters
from modelyard.api.store import StoreSettings
from modelyard.api.version import ModelVersion
from modelyard.plan.core import Refusal
from modelyard.plan.route import Claim, EndpointsView, RouteView


@dataclass(frozen=True, slots=True)
class JobView:
    """One Job of a training."""

    name: str
    uid: str
    attempt: int
    complete: bool = False
    failed: bool = False
    failure_reason: str = ""
    failure_message: str = ""
    deleting: bool = False
    active: int = 0


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container of a pod, init containers and sidecars included."""

    name: str
    ready: bool = False
    restarts: int = 0
    waiting_reason: str = ""
    waiting_message: str = ""
    running: bool = False
    exit_code: int | None = None
    termination_reason: str = ""
    termination_message: str = ""
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod of a training or of a served version."""

    name: str
    uid: str
    phase: str = "Pending"
    node_name: str = ""
    pod_ip: str = ""
    ready: bool = False
    deleting: bool = False
    attempt: int = 0
    revision: str = ""
    unschedulable: str = ""
    """The scheduler's words, empty once scheduled."""
    disrupted: str = ""
    """Reason of the DisruptionTarget condition, empty if there is none."""
    containers: tuple[ContainerView, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether no container of it can run any more."""
        return self.phase in {"Succeeded", "Failed"}

    def container(self, name: str) -> ContainerView | None:
        """Return the container of that name, or None."""
        return next((c for c in self.containers if c.name == name), None)


@dataclass(frozen=True, slots=True)
class ManifestFact:
    """What the store says of a committed manifest."""

    state: Literal["Found", "Missing", "Tombstone", "Mismatch", "Incomplete", "Unreachable"]
    """Mismatch: the digest differs from the expected one. Incomplete: a file of it is missing or
    has another size. Unreachable: the store did not answer; nothing is known."""
    manifest: Manifest | None = None
    digest: str = ""
    message: str = ""

    @property
    def found(self) -> Manifest | None:
        """The manifest, if it is the expected one and all its files are there."""
        return self.manifest if self.state == "Found" else None


@dataclass(frozen=True, slots=True)
class RunFact:
    """What the store says a training has published, whether or not a pod lived to report it."""

    state: Literal["Committed", "Nothing", "Unreachable"]
    """Unreachable: the store did not answer; nothing is known."""
    version: int | None = None
    manifest_digest: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ProgressFact:
    """The last answer of a running trainer."""

    report: ProgressReport
    time: str
    """RFC 3339 time of the answer."""
    reachable: bool = True
    """False once later polls went unanswered."""


@dataclass(frozen=True, slots=True)
class SentinelFact:
    """What the sentinel of a serving pod reports."""

    pod_uid: str
    digest: str
    golden: Literal["Pending", "Passed", "Failed"]
    message: str = ""
    counters: ServerCounters | None = None
    """What the server has answered so far; None if it did not tell."""
    time: str = ""
    """RFC 3339 time at which it was asked."""


@dataclass(frozen=True, slots=True)
class TrainingObserved:
    """The world of one ModelTraining."""

    images: Images
    store: StoreSettings | None = None
    """The store that the spec names, or None if the operator knows none of that name."""
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()
    progress: ProgressFact | None = None
    log_tail: str = ""
    """End of the failed pod's log, if it was needed and could be read."""
    manifest: ManifestFact = ManifestFact("Unreachable")
    """What stands at the recorded version, if it was asked for."""
    run: RunFact = RunFact("Unreachable")
    """What the training has published, if its last pod cannot tell or it is being deleted."""
    taken_over: bool = False
    """Whether a ModelVersion guards what the training has published."""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class TrainingNeeds:
    """Facts beyond the watch caches that planning a training needs now."""

    manifest: bool = False
    """Whether the manifest of the recorded version must be read."""
    run: bool = False
    """Whether the store must be asked what the training published: its last pod cannot tell."""
    guard: bool = False
    """Whether the API server must be asked if a ModelVersion guards what the training published: it
    is about to be removed otherwise."""
    log_of: str | None = None
    """Pod of a failed attempt whose log tail the user should see."""
    progress_of: str | None = None
    """Pod to poll."""
    live: bool = False
    """Whether Jobs and pods must be read from the API server: something is about to start, or to be
    let go, because the caches show nothing that could still run."""


@dataclass(frozen=True, slots=True)
class VersionObserved:
    """The world of one ModelVersion."""

    store: StoreSettings | None = None
    manifest: ManifestFact = ManifestFact("Unreachable")
    """What the store says of it, if `version_needs` asked."""
    used_by: tuple[str, ...] = ()
    """ModelDeployments that name, serve, or load this version, sorted."""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """One Deployment of a served revision."""

    name: str
    uid: str
    revision: str
    replicas: int = 0
    ready_replicas: int = 0
    generation: int = 0
    observed_generation: int = 0
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One Service of a deployment."""

    name: str
    uid: str
    revision: str
    """Revision that the selector picks, empty if it picks none."""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentObserved:
    """The world of one ModelDeployment."""

    images: Images
    stores: tuple[StoreSettings, ...] = ()
    """All stores that the operator knows."""
    target: ModelVersion | None = None
    """The ModelVersion that the spec names, or None if there is none."""
    serving: ModelVersion | None = None
    """The ModelVersion of the recorded stable role, or None if there is none."""
    workloads: tuple[WorkloadView, ...] = ()
    services: tuple[ServiceView, ...] = ()
    pods: tuple[PodView, ...] = ()
    sentinels: tuple[SentinelFact, ...] = ()
    offered: frozenset[str] = frozenset()
    """Kinds of the Gateway API that the cluster serves."""
    routes: tuple[RouteView, ...] = ()
    endpoints: tuple[EndpointsView, ...] = ()
    claims: tuple[Claim, ...] = ()
    """What other deployments want of the hosts that this one wants."""
    refusal: Refusal | None = None

    def store(self, name: str) -> StoreSettings | None:
        """Return the store of that name, or None if the operator knows none."""
        return next((store for store in self.stores if store.name == name), None)
