"""HTTPRoute and GRPCRoute of a deployment, named after it: one write is a change of the traffic."""

from typing import Any

from modelyard.api import names
from modelyard.api.deployment import ModelDeployment
from modelyard.api.traffic import ParentRef
from modelyard.plan.manifests import pods
from modelyard.plan.route import Backend, Route, RouteRule

Json = dict[str, Any]

API_VERSION = "gateway.networking.k8s.io/v1"


def route_manifest(deployment: ModelDeployment, route: Route) -> Json:
    """Build a route of the Gateway API."""
    labels = {
        names.LABEL_DEPLOYMENT: deployment.metadata.name,
        names.LABEL_COMPONENT: names.COMPONENT_SERVER,
    }
    name = deployment.metadata.name
    return {
        "apiVersion": API_VERSION,
        "kind": route.kind,
        "metadata": pods.child_metadata("ModelDeployment", deployment.metadata, name, labels),
        "spec": {
            "parentRefs": [_parent(parent) for parent in route.parents],
            "hostnames": list(route.hostnames),
            "rules": [_rule(rule) for rule in route.rules],
        },
    }


def _parent(parent: ParentRef) -> Json:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", **parent.dump()}


def _rule(rule: RouteRule) -> Json:
    backends = [_backend(backend) for backend in rule.backends]
    if rule.header is None:
        return {"backendRefs": backends}
    name, value = rule.header
    header = {"type": "Exact", "name": name, "value": value}
    return {"matches": [{"headers": [header]}], "backendRefs": backends}


def _backend(backend: Backend) -> Json:
    return {
        "group": "",
        "kind": "Service",
        "name": backend.service,
        "port": backend.port,
        "weight": backend.weight,
    }
