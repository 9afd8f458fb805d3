"""A real gateway for end-to-end tests: the Gateway API's CRDs, and Traefik in two replicas."""

from pathlib import Path
from typing import Any

from demo import cluster as clusters
from demo.cluster import Cluster
from localcluster.gateway_api import definitions
from tests.e2e.yard import Yard

SYSTEM = "gateway-system"
HOST = f"traefik.{SYSTEM}.svc.cluster.local"
"""What clients within the cluster call, and the name of the host that they ask for."""

KINDS = ("httproute", "grpcroute")


def install(cluster: Cluster) -> None:
    """Install it and wait until it runs; a second time changes nothing."""
    clusters.load_images(cluster.name, ("traefik",))
    for file in definitions():
        cluster.apply(file)
    for kind in ("gateways", "gatewayclasses", "httproutes", "grpcroutes"):
        crd = f"crd/{kind}.gateway.networking.k8s.io"
        cluster.kubectl("wait", "--for=condition=Established", crd, "--timeout=60s")
    cluster.apply(Path(__file__).parent / "manifests/gateway.yaml")
    cluster.kubectl("-n", SYSTEM, "rollout", "status", "deploy/traefik", "--timeout=120s")


def routes(host: str = HOST, gateway: str = "public") -> dict[str, object]:
    """Return `spec.traffic` with a route for REST and one for gRPC, each at its listener."""

    def route(listener: str) -> dict[str, object]:
        parent = {"name": gateway, "namespace": SYSTEM, "sectionName": listener}
        return {"parentRefs": [parent], "hostnames": [host]}

    return {"gateway": {"rest": route("rest"), "grpc": route("grpc")}}


def weights_of(route: dict[str, Any]) -> dict[str, int]:
    """Return the weight of each Service, of the rule for everybody."""
    return {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][-1]["backendRefs"]}


def taken(yard: Yard, name: str, weights: dict[str, int]) -> bool:
    """Tell whether the gateway has taken routes that say so."""
    return all(_took(yard.found(kind, name), weights) for kind in KINDS)


def _took(route: dict[str, Any], weights: dict[str, int]) -> bool:
    said = [c for parent in route["status"]["parents"] for c in parent["conditions"]]
    generation = route["metadata"]["generation"]
    current = [c for c in said if c["type"] in {"Accepted", "ResolvedRefs"}]
    acknowledged = all(
        c["status"] == "True" and c["observedGeneration"] == generation for c in current
    )
    return weights_of(route) == weights and acknowledged


def divides(found: dict[str, Any], *weights: int) -> bool:
    """Tell whether routes in force divide a deployment's requests so, stable first."""
    traffic = found["status"].get("traffic", {})
    shares = [share["weight"] for share in traffic.get("shares", ())]
    return shares == list(weights) and bool(traffic.get("programmedSince"))
