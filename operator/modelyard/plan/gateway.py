"""What the routes of a deployment should say, and whether its gateways have taken it.

A route names a version's Service only while it gives it weight. So a promotion changes no route:
the one that gives a version everything is the same before and after it became stable.

A condition says that a gateway has read a route, not that requests flow: see `plan.split`.
"""

from dataclasses import dataclass

from modelyard.api import names
from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.rollout import ALL_WEIGHT
from modelyard.api.traffic import ParentRef, RouteKind
from modelyard.plan.claims import lost, parents_of
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.route import Backend, ParentView, Route, RouteRule, RouteView, Said
from modelyard.plan.traffic import capacity

PORTS: dict[RouteKind, int] = {"HTTPRoute": names.PORT_REST, "GRPCRoute": names.PORT_GRPC}
BOTH = 2
"""Conditions that must hold of a route: Accepted and ResolvedRefs."""


@dataclass(frozen=True, slots=True)
class Share:
    """Percent of the requests that a version is meant to get."""

    version: ServedVersion
    weight: int


def shares_of(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> tuple[Share, ...]:
    """Return who is meant to get what, stable first; only who gets something, 100 in all."""
    stable, canary = status.stable, status.canary
    if stable is None:
        return ()
    weight = canary_weight(deployment, status, observed)
    both = (Share(stable, ALL_WEIGHT - weight), Share(canary or stable, weight))
    return tuple(share for share in both if share.weight)


def canary_weight(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> int:
    """Return the weight of the canary: that of the step, or less while its pods are too few."""
    if status.canary is None or status.step is None:
        return 0
    ready = endpoints_of(deployment, status.canary, observed)
    return min(status.step.weight, capacity(deployment.spec.replicas, ready))


def service_of(deployment: ModelDeployment, version: ServedVersion) -> str:
    """Return the name of a version's Service."""
    return names.serving_name(deployment.metadata.name, version.revision)


def endpoints_of(
    deployment: ModelDeployment, version: ServedVersion, observed: DeploymentObserved
) -> int:
    """Return how many ready pods the Service of a version has."""
    service = service_of(deployment, version)
    return sum(found.ready for found in observed.endpoints if found.service == service)


def wanted_routes(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> tuple[Route, ...]:
    """Return the routes that spec and roles call for, without hosts that others have."""
    shares = shares_of(deployment, status, observed)
    if not shares:
        return ()
    foreign = lost(deployment, observed.claims)
    found = []
    for kind, spec in deployment.spec.traffic.routes():
        hosts = tuple(host for host in spec.hostnames if host not in foreign)
        everybody = RouteRule(_backends(deployment, shares, PORTS[kind]))
        if hosts:
            rules = (*_cohorts(deployment, status, observed, PORTS[kind]), everybody)
            parents = parents_of(spec, deployment.metadata.namespace)
            found.append(Route(kind, parents, hosts, rules))
    return tuple(found)


def kinds_of(deployment: ModelDeployment) -> tuple[RouteKind, ...]:
    """Return the kinds of routes that the spec asks for."""
    return tuple(kind for kind, _ in deployment.spec.traffic.routes())


def _backends(
    deployment: ModelDeployment, shares: tuple[Share, ...], port: int
) -> tuple[Backend, ...]:
    return tuple(
        Backend(service_of(deployment, share.version), port, share.weight) for share in shares
    )


def _cohorts(
    deployment: ModelDeployment,
    status: ModelDeploymentStatus,
    observed: DeploymentObserved,
    port: int,
) -> tuple[RouteRule, ...]:
    """Return the rules that bring cohorts to a canary that is proved and has a pod."""
    canary = status.canary
    if canary is None or status.step is None or not endpoints_of(deployment, canary, observed):
        return ()
    backends = _backends(deployment, (Share(canary, ALL_WEIGHT),), port)
    headers = (cohort.header for cohort in deployment.spec.traffic.cohorts)
    return tuple(RouteRule(backends, (header.name, header.value)) for header in headers)


def view_of(route: Route, observed: DeploymentObserved) -> RouteView | None:
    """Return the route of that kind that is there."""
    there = (view for view in observed.routes if view.route.kind == route.kind)
    return next((view for view in there if not view.deleting), None)


def may_write(deployment: ModelDeployment, route: Route, observed: DeploymentObserved) -> bool:
    """Tell whether every Service that gets its first weight has a ready pod.

    Where no pod is wanted, none is waited for.
    """
    view = view_of(route, observed)
    before = view.route.services() if view else frozenset()
    ready = {found.service for found in observed.endpoints if found.ready}
    return not deployment.spec.replicas or route.services() - before <= ready


@dataclass(frozen=True, slots=True)
class Answer:
    """What one gateway makes of one route; the refusal is empty while it has only not answered."""

    parent: ParentRef
    taken: bool
    refusal: Said | None = None


def answers(view: RouteView) -> tuple[Answer, ...]:
    """Return what each gateway of a route makes of its present generation."""
    return tuple(_answer(view, parent) for parent in view.route.parents)


def _answer(view: RouteView, parent: ParentRef) -> Answer:
    """Several controllers may speak of one parent: the one that takes the route counts."""
    found = [_judged(said, view.generation) for said in view.parents if said.parent == parent]
    found.sort(key=lambda answer: (answer.taken, answer.refusal is not None), reverse=True)
    return found[0] if found else Answer(parent, taken=False)


def _judged(said: ParentView, generation: int) -> Answer:
    current = [s for s in (said.accepted, said.resolved) if s and s.generation >= generation]
    refusal = next((s for s in current if not s.holds), None)
    return Answer(said.parent, len(current) == BOTH and refusal is None, refusal)


def programmed(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    """Tell whether the cluster has every route of the spec, and every gateway has taken them."""
    complete = set(kinds_of(deployment)) <= observed.offered
    foreign = lost(deployment, observed.claims)
    return complete and not foreign and _taken(deployment, status, observed)


def _taken(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    wanted = wanted_routes(deployment, status, observed)
    views = [view_of(route, observed) for route in wanted]
    return all(
        view is not None and view.route == route and all(a.taken for a in answers(view))
        for route, view in zip(wanted, views, strict=True)
    )


def let_go(
    deployment: ModelDeployment, status: ModelDeploymentStatus, observed: DeploymentObserved
) -> bool:
    """Tell whether no gateway sends requests to a version that no role is left for."""
    if not observed.routes:
        return True
    kept = {route.kind for route in wanted_routes(deployment, status, observed)}
    extra = any(view.route.kind not in kept for view in observed.routes)
    return not extra and _taken(deployment, status, observed)
