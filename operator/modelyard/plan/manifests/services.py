"""Services: one for each revision, and the public one whose selector is the traffic."""

from typing import Any

from modelyard.api import names
from modelyard.api.deployment import ModelDeployment, ServedVersion
from modelyard.plan.manifests import pods
from modelyard.plan.manifests.serving_deployment import serving_labels, serving_selector
from modelyard.plan.traffic import EVERY_REVISION

Json = dict[str, Any]

_GRPC: Json = {
    "name": "grpc",
    "port": names.PORT_GRPC,
    "targetPort": names.PORT_GRPC,
    "protocol": "TCP",
    "appProtocol": "kubernetes.io/h2c",
}
_REST: Json = {
    "name": "rest",
    "port": names.PORT_REST,
    "targetPort": names.PORT_REST,
    "protocol": "TCP",
}
_SENTINEL: Json = {
    "name": "sentinel",
    "port": names.PORT_SENTINEL,
    "targetPort": names.PORT_SENTINEL,
    "protocol": "TCP",
}


def version_service(deployment: ModelDeployment, version: ServedVersion) -> Json:
    """Build the Service of one revision; its sentinel port is what Prometheus scrapes."""
    name = names.serving_name(deployment.metadata.name, version.revision)
    return _service(deployment, version, name, [_GRPC, _REST, _SENTINEL])


def public_service(deployment: ModelDeployment, version: ServedVersion, selection: str) -> Json:
    """Build the Service that clients use; what it selects is the traffic.

    Args:
        deployment: whose clients they are.
        version: whose labels it carries.
        selection: a revision, or `EVERY_REVISION`.
    """
    service = _service(deployment, version, deployment.metadata.name, [_GRPC, _REST])
    selector = serving_selector(deployment, selection)
    if selection == EVERY_REVISION:
        del selector[names.LABEL_VERSION]
    service["spec"]["selector"] = selector
    return service


def _service(
    deployment: ModelDeployment, version: ServedVersion, name: str, ports: list[Json]
) -> Json:
    labels = serving_labels(deployment, version)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": pods.child_metadata("ModelDeployment", deployment.metadata, name, labels),
        "spec": {
            "selector": serving_selector(deployment, version.revision),
            "ports": ports,
        },
    }
