"""The Kubernetes kinds that the operator touches, and where the API server keeps them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from modelyard.api.names import API_VERSION

Raw = dict[str, Any]
"""A Kubernetes object as plain JSON."""


class Key(NamedTuple):
    """What identifies an object: its kind and its place."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind and its address in the API."""

    name: str
    api_version: str
    plural: str

    @property
    def root(self) -> str:
        """Path of the group and version, for instance `/apis/batch/v1`."""
        return ("/apis/" if "/" in self.api_version else "/api/") + self.api_version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object, or a subresource."""
        parts = [self.root]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


MODEL_TRAINING = Kind("ModelTraining", API_VERSION, "modeltrainings")
MODEL_VERSION = Kind("ModelVersion", API_VERSION, "modelversions")
MODEL_DEPLOYMENT = Kind("ModelDeployment", API_VERSION, "modeldeployments")
JOB = Kind("Job", "batch/v1", "jobs")
POD = Kind("Pod", "v1", "pods")
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments")
SERVICE = Kind("Service", "v1", "services")
EVENT = Kind("Event", "v1", "events")
HTTP_ROUTE = Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes")
GRPC_ROUTE = Kind("GRPCRoute", "gateway.networking.k8s.io/v1", "grpcroutes")
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")

ROOTS = (MODEL_TRAINING, MODEL_VERSION, MODEL_DEPLOYMENT)
"""The kinds of Modelyard: each of their objects is reconciled."""

CHILDREN = (JOB, POD, DEPLOYMENT, SERVICE)
"""The kinds of labelled objects that belong to one of the roots."""

ROUTES = (HTTP_ROUTE, GRPC_ROUTE)
"""Kinds that a cluster serves only if somebody has installed the Gateway API."""

OPTIONAL = (ENDPOINT_SLICE, *ROUTES)
"""The kinds of labelled objects that are looked at only where routes are served."""

KINDS = {kind.name: kind for kind in (*ROOTS, *CHILDREN, *OPTIONAL, EVENT, LEASE)}
ROOT_NAMES = frozenset(kind.name for kind in ROOTS)


def kind_of(raw: Raw) -> Kind:
    """Return the kind of an object.

    Raises:
        KeyError: the operator has nothing to do with that kind.
    """
    return KINDS[raw["kind"]]


def key_of(raw: Raw) -> Key:
    """Return the key of an object."""
    meta = raw["metadata"]
    return Key(raw["kind"], meta.get("namespace", ""), meta["name"])


def resource_version(raw: Raw) -> int:
    """Return the resourceVersion as a number.

    Numbers of one resource may be compared since Kubernetes 1.35 (KEP-5504), and etcd's revisions
    always could be.
    """
    return int(raw["metadata"].get("resourceVersion") or 0)


def owner_uids(raw: Raw) -> frozenset[str]:
    """Return the uids of all owner references."""
    return frozenset(o.get("uid", "") for o in raw["metadata"].get("ownerReferences") or ())
