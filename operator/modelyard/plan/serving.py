"""The children that recorded roles call for, and those that no role calls for any more.

A pod template is frozen when its Deployment is created: that is one `Create`. Afterwards only
`replicas` are applied, by a field manager of its own, so that an upgrade of the operator restarts
no server. A Deployment that somebody deleted is built again from the record of its role, whatever
the spec names by then.
"""

from collections.abc import Iterator

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.plan.core import Action, Apply, Create, Delete
from modelyard.plan.manifests.services import public_service, version_service
from modelyard.plan.manifests.serving_deployment import (
    SCALE_MANAGER,
    serve_config,
    serving_deployment,
    serving_scale,
)
from modelyard.plan.observed import DeploymentObserved, WorkloadView
from modelyard.plan.rollout import canary_replicas, workload_of
from modelyard.plan.serving_status import selected_revision

IDENTITY = ("metadata.name",)


def effects(
    deployment: ModelDeployment,
    status: ModelDeploymentStatus,
    observed: DeploymentObserved,
) -> Iterator[Action]:
    """Yield what is missing or too much: pods first, then traffic, then what is left over."""
    for version, replicas in _roles(deployment, status):
        yield from _workload(deployment, version, replicas, observed)
        yield from _version_service(deployment, version, observed)
    yield from _traffic(deployment, status.stable, observed)
    yield from _cleanup(deployment, status, observed)


def _roles(
    deployment: ModelDeployment, status: ModelDeploymentStatus
) -> Iterator[tuple[ServedVersion, int]]:
    if status.stable is not None:
        yield status.stable, deployment.spec.replicas
    if status.canary is not None:
        yield status.canary, canary_replicas(deployment)


def _workload(
    deployment: ModelDeployment,
    version: ServedVersion,
    replicas: int,
    observed: DeploymentObserved,
) -> Iterator[Action]:
    workload = workload_of(version, observed)
    if workload is None:
        yield from _created(deployment, version, observed)
    elif not workload.deleting and workload.replicas != replicas:
        yield Apply(serving_scale(deployment, version, workload.uid, replicas), SCALE_MANAGER)


def _created(
    deployment: ModelDeployment, version: ServedVersion, observed: DeploymentObserved
) -> Iterator[Action]:
    store = observed.store(version.store_name)
    if store is not None:
        config = serve_config(deployment, version, store)
        yield Create(serving_deployment(deployment, config, version, observed.images), IDENTITY)


def _version_service(
    deployment: ModelDeployment, version: ServedVersion, observed: DeploymentObserved
) -> Iterator[Action]:
    manifest = version_service(deployment, version)
    if all(service.name != manifest["metadata"]["name"] for service in observed.services):
        yield Create(manifest, IDENTITY)


def _traffic(
    deployment: ModelDeployment, stable: ServedVersion | None, observed: DeploymentObserved
) -> Iterator[Action]:
    if stable is not None and selected_revision(deployment, observed) != stable.revision:
        yield Apply(public_service(deployment, stable))


def _cleanup(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> Iterator[Action]:
    """Yield the removal of revisions without a role, once the traffic is seen to be elsewhere."""
    stable, canary = status.stable, status.canary
    if stable is not None and selected_revision(deployment, observed) != stable.revision:
        return
    kept = {version.revision for version in (stable, canary) if version is not None}
    namespace = deployment.metadata.namespace
    for workload in observed.workloads:
        if workload.revision not in kept and not workload.deleting:
            yield _deletion(namespace, workload)
    for service in observed.services:
        public = service.name == deployment.metadata.name
        if not public and service.revision not in kept and not service.deleting:
            yield Delete("v1", "Service", namespace, service.name, service.uid)


def _deletion(namespace: str, workload: WorkloadView) -> Delete:
    return Delete("apps/v1", "Deployment", namespace, workload.name, workload.uid)
