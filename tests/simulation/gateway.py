"""The data plane of the simulation: what a gateway follows, what it says, and which pods are ready.

A gateway takes over a route and says so in two moves. Between them the operator sees the answer to
an older generation; a gateway that is absent makes neither.
"""

import random
from dataclasses import dataclass, field

from modelyard.api import names
from modelyard.kube.kinds import Key, Raw, key_of
from modelyard.plan.route_views import SERVICE_NAME
from tests.simulation.model import ApiModel

ROUTE_KINDS = ("HTTPRoute", "GRPCRoute")
REFUSALS = 0.05


@dataclass(frozen=True)
class Followed:
    """The state of a route that requests are divided by."""

    uid: str
    generation: int
    weights: dict[str, int]


def weights_of(route: Raw) -> dict[str, int]:
    """Return what each Service gets of the requests without a cohort."""
    return {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][-1]["backendRefs"]}


@dataclass
class Gateway:
    """One gateway for all, and the controller of EndpointSlices."""

    api: ApiModel
    random: random.Random
    kind: bool = False
    """Whether everything goes well from now on."""
    absent: bool = False
    followed: dict[Key, Followed] = field(default_factory=dict)

    def work(self) -> None:
        """Look at every route and every Service."""
        for kind in ROUTE_KINDS:
            for raw in self.api.all(kind):
                self.route(raw)
        for raw in self.api.all("Service"):
            self.service(raw)

    def route(self, raw: Raw) -> None:
        """Look at one route."""
        if self.absent or not raw["metadata"].get("ownerReferences"):
            return
        if self.kind or self.random.random() < 0.9:
            meta = raw["metadata"]
            known = Followed(meta["uid"], meta["generation"], weights_of(raw))
            self.followed[key_of(raw)] = known
        if self.kind or self.random.random() < 0.9:
            self._answer(raw)

    def _answer(self, raw: Raw) -> None:
        refused = not self.kind and self.random.random() < REFUSALS
        known = self.following(key_of(raw))
        generation = raw["metadata"]["generation"] if refused or not known else known.generation
        taken = known is not None and not refused
        said = {
            "Accepted": "True" if taken or self.random.random() < 0.5 else "False",
            "ResolvedRefs": "True" if taken else "False",
        }
        conditions = [
            {"type": kind, "status": status, "observedGeneration": generation, "reason": "R"}
            for kind, status in said.items()
            if self.kind or self.random.random() < 0.95
        ]
        parents = [
            {"parentRef": parent, "controllerName": "example.com/gateway", "conditions": conditions}
            for parent in raw["spec"]["parentRefs"]
        ]
        self.api.change("gateway", key_of(raw), status={"parents": parents})

    def following(self, key: Key) -> Followed | None:
        """Return what requests are divided by, None if no route of that name is there."""
        known, raw = self.followed.get(key), self.api.objects.get(key)
        if known is None or raw is None or raw["metadata"]["uid"] != known.uid:
            return None
        return known

    def weight(self, namespace: str, deployment: str, service: str) -> int | None:
        """Return the percentage of a Service, None if no route divides the requests."""
        keys = (Key(kind, namespace, deployment) for kind in ROUTE_KINDS)
        known = next((found for found in map(self.following, keys) if found), None)
        return known.weights.get(service, 0) if known else None

    def sends_to(self, namespace: str, deployment: str, service: str) -> bool:
        """Tell whether a Service gets requests by some route."""
        keys = (Key(kind, namespace, deployment) for kind in ROUTE_KINDS)
        return any(known.weights.get(service) for known in map(self.following, keys) if known)

    def service(self, raw: Raw) -> None:
        """Write down which pods a Service has ready."""
        labels = raw["metadata"].get("labels") or {}
        if names.LABEL_OWNER_UID not in labels or (not self.kind and self.random.random() < 0.2):
            return
        selector = raw["spec"]["selector"]
        pods = [pod for pod in self.api.all("Pod") if _selected(pod, selector)]
        endpoints = [{"conditions": {"ready": _ready(pod)}} for pod in pods]
        key = Key("EndpointSlice", raw["metadata"]["namespace"], f"{raw['metadata']['name']}-x")
        if key in self.api.objects:
            self.api.change("endpoints", key, endpoints=endpoints)
        else:
            self.api.create("endpoints", _slice(raw, key, endpoints))


def _slice(service: Raw, key: Key, endpoints: list[Raw]) -> Raw:
    meta = service["metadata"]
    owner = {"kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {**meta["labels"], SERVICE_NAME: meta["name"]},
            "ownerReferences": [owner],
        },
        "endpoints": endpoints,
    }


def _selected(pod: Raw, selector: Raw) -> bool:
    labels = pod["metadata"]["labels"]
    return all(labels.get(name) == value for name, value in selector.items())


def _ready(pod: Raw) -> bool:
    conditions = pod["status"].get("conditions") or []
    holds = any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)
    return holds and not pod["metadata"].get("deletionTimestamp")
