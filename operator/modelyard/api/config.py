"""The operator's configuration file: stores, images, and limits set by the administrator."""

from typing import Annotated

from pydantic import Field

from modelyard.api.meta import Model
from modelyard.api.store import StoreSettings


class Images(Model):
    """The images that the operator starts."""

    trainer: str = "modelyard-trainer"
    """Image of the trainer."""

    server: str = "tensorflow/serving:2.21.0"
    """Image of the server when a ModelDeployment names none."""

    sentinel: str = "modelyard-operator"
    """Image of the fetcher and the sentinel: the operator's own."""

    pull_policy: Annotated[str, Field(pattern=r"^(Always|IfNotPresent|Never)$")] = "IfNotPresent"
    """When the kubelet pulls."""


class LeaseSettings(Model):
    """Leader election."""

    enabled: bool = True
    """Whether a Lease decides who writes; switch off only for a single local process."""

    name: str = "modelyard-operator"
    """Name of the Lease."""

    namespace: str = "modelyard-system"
    """Namespace of the Lease."""

    duration_seconds: float = 15
    """How long a silent holder keeps the Lease."""

    renew_deadline_seconds: float = 10
    """How long the holder tries to renew before it gives up."""

    retry_seconds: float = 2
    """How often holder and candidates try."""


class ClientSettings(Model):
    """Limits of the Kubernetes client."""

    queries_per_second: float = 300
    """Sustained rate of requests."""

    burst: int = 600
    """Requests allowed at once."""

    connections: int = 64
    """Connections to the API server."""


class OperatorConfig(Model):
    """The operator's configuration."""

    stores: Annotated[tuple[StoreSettings, ...], Field(max_length=64)] = ()
    """The stores that objects may name."""

    images: Images = Images()
    """The images that the operator starts."""

    lease: LeaseSettings = LeaseSettings()
    """Leader election."""

    client: ClientSettings = ClientSettings()
    """Limits of the Kubernetes client."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty means all."""

    workers: Annotated[int, Field(ge=1, le=256)] = 32
    """Reconciles at the same time."""

    resync_seconds: float = 600
    """Seconds between two complete re-checks of every object."""

    progress_interval_seconds: float = 5
    """Seconds between two polls of a running pod."""

    def store(self, name: str) -> StoreSettings | None:
        """Return the store of that name, or None."""
        return next((s for s in self.stores if s.name == name), None)
