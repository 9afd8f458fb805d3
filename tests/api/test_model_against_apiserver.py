"""The simulation's API model, held against a real API server: the same random operations on both.

Both are driven through the operator's own client interface, so the answers (and the kinds of
failure) that the executor sees are what is compared. Deployments serve as the object: they have
finalizers, a status subresource, a generation, and the two field managers that the operator uses.
"""

import os
import random
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from modelyard.api.config import ClientSettings
from modelyard.api.errors import Refused, Retry
from modelyard.kube.client import Client
from modelyard.kube.connection import find_connection
from modelyard.kube.failures import Conflict
from modelyard.kube.kinds import DEPLOYMENT, SERVICE, Raw
from modelyard.kube.metrics import LoopMetrics
from tests.builders import NOW
from tests.simulation.model import ApiModel
from tests.simulation.twin import FakeClient, Faults

pytestmark = pytest.mark.api

SEQUENCES = int(os.environ.get("MODELYARD_MODEL_SEQUENCES", "15"))
OPERATIONS = 40
MANAGERS = ("modelyard", "modelyard-scale")
FINALIZERS: tuple[tuple[str, ...], ...] = ((), ("example.com/a",), ("example.com/a", "x.dev/b"))


def full(name: str, draw: random.Random) -> Raw:
    labels = {key: str(draw.randint(1, 2)) for key in ("p", "q", "r") if draw.random() < 0.6}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": {"name": name, **labels}},
        "spec": {
            "replicas": draw.randint(0, 4),
            "selector": {"matchLabels": {"app": "x"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "c", "image": f"i:{draw.randint(1, 2)}"}]},
            },
        },
    }


def scale(name: str, draw: random.Random) -> Raw:
    manifest = full(name, draw)
    return {**manifest, "spec": {"replicas": manifest["spec"]["replicas"]}}


def outline(raw: Raw | None) -> Any:
    """Return what must be equal: defaults, times and counters of the server are left out."""
    if raw is None:
        return None
    meta, spec = raw["metadata"], raw["spec"]
    return {
        "labels": meta.get("labels") or {},
        "finalizers": meta.get("finalizers") or [],
        "deleting": bool(meta.get("deletionTimestamp")),
        "generation": meta["generation"],
        "replicas": spec["replicas"],
        "image": spec["template"]["spec"]["containers"][0]["image"],
        "ready": (raw.get("status") or {}).get("readyReplicas", 0),
    }


@dataclass(frozen=True)
class Operation:
    """One request, the same for both sides but for what each side has seen."""

    verb: str
    manifest: Raw
    argument: Any = None
    stale: bool = False

    async def run(self, client: Any, seen: list[Raw]) -> str:
        """Carry it out; return the kind of answer."""
        meta = self.manifest["metadata"]
        live = await client.get(DEPLOYMENT, meta["namespace"], meta["name"])
        if live is not None and outline(live) not in [outline(raw) for raw in seen]:
            seen.append(live)
        owner = seen[0] if self.stale and seen else live or self.manifest
        try:
            await self._send(client, owner)
        except (Retry, Refused) as failure:
            return type(failure).__name__
        return "done"

    async def _send(self, client: Any, owner: Raw) -> None:
        meta = owner["metadata"]
        if self.verb not in {"create", "apply", "scale"} and "uid" not in meta:
            raise Conflict("nothing was seen yet", 0)
        match self.verb:
            case "create":
                await client.create(self.manifest)
            case "apply":
                await client.apply(self.manifest, self.argument)
            case "scale":
                scaled = {**self.manifest["metadata"], "uid": meta.get("uid", "never-seen")}
                await client.apply({**self.manifest, "metadata": scaled}, self.argument)
            case "status":
                await client.apply_status(owner, self.argument)
            case "finalizers":
                await client.set_finalizers(owner, self.argument)
            case "delete":
                await client.delete(DEPLOYMENT, meta["namespace"], meta["name"], meta["uid"])


def draw_operation(name: str, draw: random.Random) -> Operation:
    stale = draw.random() < 0.25
    match draw.choices(("create", "apply", "scale", "status", "fin", "delete"), (2, 4, 4, 4, 3, 1)):
        case ["create"]:
            return Operation("create", full(name, draw))
        case ["apply"]:
            return Operation("apply", full(name, draw), MANAGERS[0])
        case ["scale"]:
            return Operation("scale", scale(name, draw), MANAGERS[1], stale)
        case ["status"]:
            ready = draw.randint(0, 4)
            status = {"replicas": 4, "readyReplicas": ready}
            return Operation("status", full(name, draw), status, stale)
        case ["fin"]:
            return Operation("finalizers", full(name, draw), draw.choice(FINALIZERS), stale)
    return Operation("delete", full(name, draw), None, stale)


async def compare(seed: int, real: Client) -> int:
    """Run one sequence on both; return how many operations took effect."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    model = FakeClient(ApiModel(lambda: NOW), Faults())
    name, done = f"s{seed}", 0
    seen: tuple[list[Raw], list[Raw]] = ([], [])
    await real.create(full(name, random.Random(seed)))  # noqa: S311
    await model.create(full(name, random.Random(seed)))  # noqa: S311
    for step in range(OPERATIONS):
        operation = draw_operation(name, draw)
        answers = [
            await operation.run(side, s) for side, s in zip((real, model), seen, strict=True)
        ]
        states = [outline(await side.get(DEPLOYMENT, "default", name)) for side in (real, model)]
        assert answers[0] == answers[1], (seed, step, operation, answers)
        assert states[0] == states[1], (seed, step, operation)
        done += answers[0] == "done"
    return done


@pytest.fixture
async def real(cluster, monkeypatch):
    """The operator's own client, with all rights."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.server.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    metrics = LoopMetrics(CollectorRegistry())
    async with Client(await find_connection(), ClientSettings(), metrics) as client:
        yield client


async def test_the_model_answers_as_the_api_server_does(real):
    effective = sum([await compare(seed, real) for seed in range(SEQUENCES)])
    assert effective > SEQUENCES * OPERATIONS / 4


@pytest.mark.parametrize("kind", [SERVICE, DEPLOYMENT])
async def test_what_is_deleted_at_once_is_gone_and_what_is_held_is_not(real, kind):
    """The server answers with the last state of a Service, and with no object for most others."""
    draw = random.Random(1)  # noqa: S311
    for finalizers in ([], ["example.com/a"]):
        manifest = full(f"short-lived-{len(finalizers)}", draw)
        if kind is SERVICE:
            spec = {"selector": {"app": "x"}, "ports": [{"port": 80}]}
            manifest |= {"apiVersion": "v1", "kind": "Service", "spec": spec}
        manifest["metadata"]["finalizers"] = finalizers
        meta = (await real.create(manifest))["metadata"]
        left = await real.delete(kind, "default", meta["name"], meta["uid"])
        assert bool(left) == bool(finalizers)
