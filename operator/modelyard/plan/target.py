"""The version that a deployment names: what it would be served as, and what stands in its way."""

from datetime import datetime

from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.api.reasons import ConditionType, Reason
from modelyard.api.version import ModelVersion
from modelyard.plan.acceptance import store_missing
from modelyard.plan.clock import timestamp
from modelyard.plan.conditions import holds
from modelyard.plan.core import Refusal
from modelyard.plan.observed import DeploymentObserved
from modelyard.plan.revision import served


def wanted_version(
    deployment: ModelDeployment, observed: DeploymentObserved, now: datetime
) -> ServedVersion | None:
    """Return the role record of the version that the spec names, None if there is none."""
    if observed.target is None:
        return None
    return served(deployment, observed.target, timestamp(now))


def target_refusal(deployment: ModelDeployment, observed: DeploymentObserved) -> Refusal | None:
    """Return why the version that the spec names cannot be brought up."""
    name, target = deployment.spec.model_version_name, observed.target
    if target is None:
        text = f"There is no ModelVersion {name} in this namespace: name one that exists."
        return Refusal(Reason.VERSION_NOT_FOUND, text)
    if not _ready(target):
        text = f"ModelVersion {name} is {target.status.phase}: see its conditions."
        return Refusal(Reason.VERSION_NOT_READY, text)
    stable = deployment.status.stable
    if stable is not None and stable.model_name != target.spec.model_name:
        text = (
            f"ModelVersion {name} is of model {target.spec.model_name}, and clients ask for"
            f" {stable.model_name}: serve it by a ModelDeployment of its own."
        )
        return Refusal(Reason.OTHER_MODEL, text)
    store_name = target.spec.artifact.store_name
    if observed.store(store_name) is None:
        return Refusal(Reason.STORE_NOT_FOUND, store_missing(store_name))
    return None


def _ready(target: ModelVersion) -> bool:
    judged = target.status.conditions
    servable = holds(judged, ConditionType.VERIFIED) and holds(judged, ConditionType.SERVABLE)
    return servable and target.metadata.deletion_timestamp is None
