"""A real gateway for end-to-end tests: the Gateway API's CRDs, and Traefik in two replicas."""

from pathlib import Path

from demo import cluster as clusters
from demo.cluster import Cluster
from localcluster.gateway_api import definitions

SYSTEM = "gateway-system"
HOST = f"traefik.{SYSTEM}.svc.cluster.local"
"""What clients within the cluster call, and the name of the host that they ask for."""


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
