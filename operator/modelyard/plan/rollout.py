"""How a canary does: still loading, proved, or failed for good.

Proved means: every pod of it is ready (its golden predictions gate readiness) and every one of them
reports the very digest that was recorded. Until then nothing reaches it.
"""

from dataclasses import dataclass

from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.api.reasons import Reason
from modelyard.plan.manifests.serving_deployment import FETCH, SERVER
from modelyard.plan.observed import (
    ContainerView,
    DeploymentObserved,
    PodView,
    SentinelFact,
    WorkloadView,
)
from modelyard.plan.pods import obstacle
from modelyard.plan.traffic import split

MAX_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Loading:
    """Nothing is decided yet; the obstacle is empty while it merely takes time."""

    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Proved:
    """All pods serve the recorded digest."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The revision failed to load and is not tried again."""

    reason: Reason
    message: str


Outcome = Loading | Proved | Broken


def judge_canary(
    deployment: ModelDeployment, canary: ServedVersion, observed: DeploymentObserved, age: float
) -> Outcome:
    """Judge a canary that is `age` seconds old."""
    pods = pods_of(canary, observed)
    broken = _refuted(canary, pods, observed) or _crashing(canary, pods)
    if broken:
        return broken
    if _proved(deployment, canary, observed):
        return Proved()
    reason = _obstacle(canary, observed)
    deadline = deployment.spec.server.load_deadline_seconds
    if age > deadline:
        text = f"{canary.model_version_name} was not ready within {deadline} s. {reason}".strip()
        return Broken(Reason.LOAD_DEADLINE_EXCEEDED, text)
    return Loading(reason)


def pods_of(version: ServedVersion, observed: DeploymentObserved) -> tuple[PodView, ...]:
    """Return the pods of a revision that are meant to stay."""
    return tuple(
        pod
        for pod in observed.pods
        if pod.revision == version.revision and not pod.deleting and not pod.finished
    )


def servers_of(
    version: ServedVersion, observed: DeploymentObserved
) -> tuple[tuple[PodView, ContainerView], ...]:
    """Return the servers of a revision that have begun, each with its pod."""
    found = ((pod, pod.container(SERVER)) for pod in pods_of(version, observed))
    return tuple((pod, server) for pod, server in found if server is not None)


def workload_of(version: ServedVersion, observed: DeploymentObserved) -> WorkloadView | None:
    """Return the Deployment of a revision, or None."""
    return next((w for w in observed.workloads if w.revision == version.revision), None)


def facts_of(version: ServedVersion, observed: DeploymentObserved) -> tuple[SentinelFact, ...]:
    """Return what the sentinels of a revision's pods report."""
    uids = {pod.uid for pod in pods_of(version, observed)}
    return tuple(fact for fact in observed.sentinels if fact.pod_uid in uids)


def _refuted(
    canary: ServedVersion, pods: tuple[PodView, ...], observed: DeploymentObserved
) -> Broken | None:
    """Return why a sentinel's report rules the canary out."""
    by_uid = {pod.uid: pod for pod in pods}
    for fact in facts_of(canary, observed):
        name = by_uid[fact.pod_uid].name
        if fact.digest != canary.digest:
            text = f"Pod {name} holds {fact.digest}, and {canary.digest} was to be served."
            return Broken(Reason.DIGEST_MISMATCH, text)
        if fact.golden == "Failed":
            text = f"Pod {name} does not reproduce its golden predictions: {fact.message}"
            return Broken(Reason.GOLDEN_MISMATCH, text)
    return None


def _crashing(canary: ServedVersion, pods: tuple[PodView, ...]) -> Broken | None:
    for pod in pods:
        server = pod.container(SERVER)
        if server is not None and server.restarts >= MAX_RESTARTS:
            if short_of_memory(server):
                return Broken(Reason.OUT_OF_MEMORY, memory_text(canary, pod))
            return Broken(Reason.LOAD_FAILED, _crashed(pod, server))
    return None


def short_of_memory(server: ContainerView) -> bool:
    """Tell whether the kernel ended a server that wanted more than its limit."""
    return server.termination_reason == "OOMKilled"


def memory_text(canary: ServedVersion, pod: PodView) -> str:
    """Say that a server needs more memory, and where to give it."""
    limit = canary.server.resources.limits.memory or "what its node has left"
    return (
        f"The server of pod {pod.name} was killed because it needs more memory than {limit}: raise "
        "spec.server.resources.limits.memory"
    )


def _crashed(pod: PodView, server: ContainerView) -> str:
    return (
        f"The server of pod {pod.name} ended with exit code {server.exit_code}, restarted "
        f"{server.restarts} times: {server.termination_message[-512:]}"
    )


def _proved(
    deployment: ModelDeployment, canary: ServedVersion, observed: DeploymentObserved
) -> bool:
    workload, wanted = (
        workload_of(canary, observed),
        split(deployment, deployment.status).canary_replicas,
    )
    if workload is None or workload.deleting:
        return False
    current = workload.observed_generation >= workload.generation
    ready = {pod.uid for pod in pods_of(canary, observed) if pod.ready}
    judged = canary.golden_set is not None
    proved = {
        fact.pod_uid for fact in facts_of(canary, observed) if fact.golden == "Passed" or not judged
    }
    enough = workload.ready_replicas >= wanted and len(ready & proved) >= wanted
    return current and workload.replicas == wanted and enough


def _obstacle(canary: ServedVersion, observed: DeploymentObserved) -> str:
    for pod in pods_of(canary, observed):
        found = obstacle(pod, canary.store_name)
        if found:
            return found.message
        fetch = pod.container(FETCH)
        if fetch is not None and fetch.exit_code:
            return f"Pod {pod.name} could not fetch the artifact: {fetch.termination_message}"
        server = pod.container(SERVER)
        if server is not None and server.exit_code:
            short = short_of_memory(server)
            return memory_text(canary, pod) if short else _crashed(pod, server)
    waiting = (fact.message for fact in facts_of(canary, observed) if fact.golden == "Pending")
    return next((message for message in waiting if message), "")
