"""How many pods a canary needs for its share of the traffic, and what the public Service selects.

Stable keeps all its pods until the promotion, so that a rollback is one write and never waits for a
pod.

Without a gateway the public Service selects one revision, or every pod of the deployment; it
spreads connections evenly over what it selects: a canary gets half of the traffic at most until it
gets all. With a gateway, routes divide requests (`plan.gateway`), and the public Service is the
address of stable within the cluster.
"""

from dataclasses import dataclass
from math import ceil

from modelyard.api.deployment import ModelDeployment, ModelDeploymentStatus, ServedVersion
from modelyard.api.rollout import ALL_WEIGHT
from modelyard.plan.observed import DeploymentObserved

EVERY_REVISION = "*"
"""What a Service selects that names no revision."""


@dataclass(frozen=True, slots=True)
class Split:
    """Pods of the canary, and the revision that the public Service selects."""

    canary_replicas: int
    selection: str


def split(deployment: ModelDeployment, status: ModelDeploymentStatus) -> Split:
    """Return the split that the recorded roles and step call for."""
    replicas, canary = deployment.spec.replicas, status.canary
    stable = status.stable.revision if status.stable else ""
    if canary is None:
        return Split(0, stable)
    weight = status.step.weight if status.step else 0
    needed = weight or first_weight(deployment, status)
    if deployment.spec.traffic.gateway is not None:
        return Split(carrying_pods(replicas, needed), stable)
    selected = {0: stable, ALL_WEIGHT: canary.revision}.get(weight, EVERY_REVISION)
    return Split(canary_pods(replicas, needed), selected)


def first_weight(deployment: ModelDeployment, status: ModelDeploymentStatus) -> int:
    """Return the weight that a canary is brought up for."""
    if status.stable is None:
        return ALL_WEIGHT
    weights = (step.weight for step in deployment.spec.rollout.steps if step.weight)
    return next(weights, ALL_WEIGHT)


def canary_pods(replicas: int, weight: int) -> int:
    """Return the pods that give a canary `weight` percent beside `replicas` pods of stable.

    >>> [canary_pods(9, weight) for weight in (1, 10, 25, 50, 75, 100)]
    [1, 1, 3, 9, 9, 9]
    """
    if weight >= ALL_WEIGHT // 2:
        return max(1, replicas)
    return max(1, round(replicas * weight / (ALL_WEIGHT - weight)))


def carrying_pods(replicas: int, weight: int) -> int:
    """Return the fewest pods that carry `weight` percent of what `replicas` pods are for.

    >>> [carrying_pods(3, weight) for weight in (1, 33, 34, 66, 67, 100)], carrying_pods(0, 10)
    ([1, 1, 2, 2, 3, 3], 1)
    """
    return max(1, ceil(replicas * weight / ALL_WEIGHT))


def capacity(replicas: int, ready: int) -> int:
    """Return the percentage that `ready` pods can carry of what `replicas` pods are for.

    >>> [capacity(3, ready) for ready in (0, 1, 2, 3)], capacity(0, 1)
    ([0, 33, 66, 100], 100)
    """
    return min(ALL_WEIGHT, ALL_WEIGHT * ready // max(1, replicas))


def given_weight(replicas: int, weight: int) -> int:
    """Return the percentage that a canary really gets.

    >>> [given_weight(1, weight) for weight in (5, 50, 90, 100)], given_weight(9, 10)
    ([50, 50, 50, 100], 10)
    """
    if weight in (0, ALL_WEIGHT):
        return weight
    canary = canary_pods(replicas, weight)
    return round(ALL_WEIGHT * canary / (max(1, replicas) + canary))


def selection(deployment: ModelDeployment, observed: DeploymentObserved) -> str:
    """Return what the public Service selects: a revision, every revision, or nothing yet."""
    name = deployment.metadata.name
    found = (s.revision for s in observed.services if s.name == name and not s.deleting)
    return next(found, "")


def recorded(status: ModelDeploymentStatus) -> tuple[ServedVersion, ...]:
    """Return the versions that have pods: stable, canary, warm."""
    warm = status.warm.version if status.warm else None
    return tuple(role for role in (status.stable, status.canary, warm) if role is not None)
