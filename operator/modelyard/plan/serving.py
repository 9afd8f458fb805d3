"""The children that recorded roles call for, and those that no role calls for any more.

A pod template is frozen when its Deployment is created: that is one `Create`. Afterwards only
`replicas` are applied, by a field manager of its own, so that an upgrade of the operator restarts
no server. A Deployment that somebody deleted is built again from the record of its role, whatever
the spec names by then.
"""

from collections.abc import Iterator

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.plan.core import Action, Apply, Create, Delete
from modelyard.plan.gateway import let_go, may_write, view_of, wanted_routes
from modelyard.plan.manifests.routes import API_VERSION as ROUTE_API
from modelyard.plan.manifests.routes import route_manifest
from modelyard.plan.manifests.services import public_service, version_service
from modelyard.plan.manifests.serving_deployment import (
    SCALE_MANAGER,
    serve_config,
    serving_deployment,
    serving_scale,
)
from modelyard.plan.observed import DeploymentObserved, WorkloadView
from modelyard.plan.rollout import workload_of
from modelyard.plan.steps import ready_for
from modelyard.plan.traffic import EVERY_REVISION, recorded, selection, split

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
    yield from _traffic(deployment, status, observed)
    yield from _routes(deployment, status, observed)
    yield from _cleanup(deployment, status, observed)


def _roles(
    deployment: ModelDeployment, status: ModelDeploymentStatus
) -> Iterator[tuple[ServedVersion, int]]:
    if status.stable is not None:
        yield status.stable, deployment.spec.replicas
    if status.canary is not None:
        yield status.canary, split(deployment, status).canary_replicas
    if status.warm is not None:
        yield status.warm.version, deployment.spec.replicas


def _workload(
    deployment: ModelDeployment,
    version: ServedVersion,
    replicas: int,
    observed: DeploymentObserved,
) -> Iterator[Action]:
    workload = workload_of(version, observed)
    if workload is None:
        yield from _created(deployment, version, replicas, observed)
    elif not workload.deleting and workload.replicas != replicas:
        yield Apply(serving_scale(deployment, version, workload.uid, replicas), SCALE_MANAGER)


def _created(
    deployment: ModelDeployment,
    version: ServedVersion,
    replicas: int,
    observed: DeploymentObserved,
) -> Iterator[Action]:
    store = observed.store(version.store_name)
    if store is not None:
        config = serve_config(deployment, version, store)
        manifest = serving_deployment(deployment, config, version, observed.images, replicas)
        yield Create(manifest, IDENTITY)


def _version_service(
    deployment: ModelDeployment, version: ServedVersion, observed: DeploymentObserved
) -> Iterator[Action]:
    manifest = version_service(deployment, version)
    there = [s for s in observed.services if s.name == manifest["metadata"]["name"]]
    if not there:
        yield Create(manifest, IDENTITY)
    elif any(service.revision != version.revision for service in there):
        yield Apply(manifest)  # a gateway would send requests to other pods, or to none


def _traffic(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> Iterator[Action]:
    """Yield the one write that moves the traffic, once the canary can carry its share."""
    wanted = split(deployment, status).selection
    stable, canary = status.stable, status.canary
    if not wanted or selection(deployment, observed) == wanted:
        return
    if stable is not None and wanted == stable.revision:
        yield Apply(public_service(deployment, stable, stable.revision))
    elif canary is not None and _may_have_traffic(deployment, status, observed):
        yield Apply(public_service(deployment, canary, wanted))


def _routes(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> Iterator[Action]:
    """Yield the routes that say something else than they should, and those that should not be."""
    wanted = wanted_routes(deployment, status, observed)
    for route in wanted:
        view = view_of(route, observed)
        changed = view is None or view.route != route
        offered = route.kind in observed.offered
        if changed and offered and may_write(deployment, route, observed):
            yield Apply(route_manifest(deployment, route))
    kept = {route.kind for route in wanted}
    for view in observed.routes:
        if view.route.kind not in kept and not view.deleting:
            yield Delete(
                ROUTE_API, view.route.kind, deployment.metadata.namespace, view.name, view.uid
            )


def _may_have_traffic(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    """Tell whether the canary has its pods, and a Service of every pod would select no others."""
    known = {role.revision for role in (status.stable, status.canary) if role is not None}
    strange = any(workload.revision not in known for workload in observed.workloads)
    alone = split(deployment, status).selection != EVERY_REVISION
    return ready_for(deployment, status, observed) and (alone or not strange)


def _cleanup(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> Iterator[Action]:
    """Yield the removal of revisions without a role, once the traffic is seen to be elsewhere."""
    if status.stable is not None and selection(deployment, observed) != (
        split(deployment, status).selection
    ):
        return
    if not let_go(deployment, status, observed):
        return
    kept = {version.revision for version in recorded(status)}
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
