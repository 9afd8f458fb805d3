"""Hosts that several deployments want: a gateway would merge their routes, and one would vanish.

The older deployment has the host; the others are told by a condition, and write no route for it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from modelyard.api.deployment import ModelDeployment
from modelyard.api.meta import ObjectMeta
from modelyard.api.traffic import ParentRef, RouteSpec
from modelyard.plan.route import Claim

Json = dict[str, Any]


def parents_of(spec: RouteSpec, namespace: str) -> tuple[ParentRef, ...]:
    """Return the gateways of a route in `namespace`, each with its own namespace."""
    return tuple(
        p.model_copy(update={"namespace": p.namespace or namespace}) for p in spec.parent_refs
    )


def claims_of(deployment: ModelDeployment) -> Iterator[Claim]:
    """Yield the hosts that a deployment wants."""
    for _, spec in deployment.spec.traffic.routes():
        yield from _claims(spec, deployment.metadata)


def _claims(spec: RouteSpec, meta: ObjectMeta) -> Iterator[Claim]:
    for parent in parents_of(spec, meta.namespace):
        for hostname in spec.hostnames:
            yield Claim(parent, hostname, meta.creation_timestamp, meta.namespace, meta.name)


def lost(deployment: ModelDeployment, others: Iterable[Claim]) -> dict[str, Claim]:
    """Return the hosts that an older deployment has, each with that deployment's claim."""
    found = {}
    for mine in claims_of(deployment):
        for other in others:
            contested = mine.hostname == other.hostname and _meets(mine.parent, other.parent)
            if contested and _rank(other) < _rank(mine):
                found[mine.hostname] = other
    return found


def _rank(claim: Claim) -> tuple[str, str, str]:
    return claim.age, claim.namespace, claim.name


def _meets(one: ParentRef, other: ParentRef) -> bool:
    """Tell whether two parents have a listener in common."""
    same = (one.namespace, one.name) == (other.namespace, other.name)
    sections = {one.section_name, other.section_name} - {None}
    ports = {one.port, other.port} - {None}
    return same and len(sections) <= 1 and len(ports) <= 1
