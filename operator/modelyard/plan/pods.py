"""Why a pod is not running yet, in words that name the remedy.

Shared by trainings and deployments: both only start pods and wait for them.
"""

from dataclasses import dataclass

from modelyard.api.names import store_secret
from modelyard.api.reasons import Reason
from modelyard.plan.observed import ContainerView, PodView

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})
_CONFIG_REASON = "CreateContainerConfigError"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a pod from running."""

    reason: Reason
    message: str


def obstacle(pod: PodView, store_name: str) -> Obstacle | None:
    """Return what keeps a pod from running, or None if it merely starts."""
    if pod.unschedulable:
        return Obstacle(Reason.UNSCHEDULABLE, f"Pod {pod.name}: {pod.unschedulable}")
    for container in pod.containers:
        found = _blocked(pod, container, store_name)
        if found:
            return found
    return None


def _blocked(pod: PodView, container: ContainerView, store_name: str) -> Obstacle | None:
    place = f"Container {container.name} of pod {pod.name}"
    match container.waiting_reason:
        case reason if reason in _IMAGE_REASONS:
            return Obstacle(
                Reason.IMAGE_NOT_FOUND,
                f"{place} cannot pull its image ({reason}): {container.waiting_message}. "
                "Check the image's name and the node's access to its registry.",
            )
        case reason if reason == _CONFIG_REASON and "secret" in container.waiting_message.lower():
            return Obstacle(
                Reason.SECRET_NOT_FOUND,
                f"{place} waits for its credentials: {container.waiting_message}. Create the "
                f"Secret {store_secret(store_name)} in this namespace with the keys "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
    return None
