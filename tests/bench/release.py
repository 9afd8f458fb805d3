"""Served models for benchmarks, and the pods that an API server alone never makes.

A Deployment gets a pod that is ready at once, and whose sentinel reports the digest it was told:
one sentinel for all pods of a digest. The store is never asked: versions are written as verified.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from modelyard.api import names
from modelyard.api.deployment import ServerSpec
from modelyard.api.serve import SERVE_VARIABLE, ServeConfig
from modelyard.plan.revision import revision_of
from modelyard.plan.traffic import EVERY_REVISION
from tests.api import cli
from tests.api.nodes import next_address, pod_of, sentinel, serving
from tests.bench.api import NAMESPACE, WATCH, Api, Sightings

VERSIONS = f"/apis/modelyard.dev/v1alpha1/namespaces/{NAMESPACE}/modelversions"
DEPLOYMENTS = f"/apis/modelyard.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments"
WORKLOADS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
STEPS = [{"weight": 20}, {"pause": {}}]
"""A share of the traffic, and then a person decides."""
PODS_AT_ONCE = 8


def digest(number: int) -> str:
    """Return the manifest digest of every model's version of that number."""
    return f"sha256:{number:064x}"


def revision(number: int) -> str:
    """Return the revision of every model's version of that number."""
    return revision_of(digest(number), ServerSpec())


def child(deployment: str, number: int) -> str:
    """Name the Deployment of a version's pods."""
    return names.serving_name(deployment, revision(number))


async def create_version(api: Api, model: str, number: int) -> None:
    """Create a ModelVersion as it is once its artifact was found in the store."""
    raw = cli.version(1, NAMESPACE)
    name, spec = names.version_name(model, number), raw["spec"]
    path = f"{NAMESPACE}/{model}/{number}/"
    artifact = {**spec["artifact"], "path": path, "manifestDigest": digest(number)}
    spec |= {"modelName": model, "version": number, "artifact": artifact}
    raw["metadata"]["name"] = name
    await api.send("POST", VERSIONS, raw)
    found = cli.judged(
        Committed="True/ManifestWritten",
        Verified="True/DigestsMatch",
        Servable="True/SignatureFound",
    )
    status = {"phase": "Ready", "observedGeneration": 1, "conditions": found}
    await api.patch(f"{VERSIONS}/{name}/status", {"status": status})


async def deploy(api: Api, model: str) -> None:
    """Create the ModelDeployment of a model's first version; it is called like the model."""
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": model, "namespace": NAMESPACE},
        "spec": {
            "modelVersionName": names.version_name(model, 1),
            "rollout": {"steps": STEPS, "warmStableSeconds": 0},
        },
    }
    await api.send("POST", DEPLOYMENTS, body)


async def name_version(api: Api, model: str, number: int) -> None:
    """Ask for another version: the one edit of a release."""
    body = {"spec": {"modelVersionName": names.version_name(model, number)}}
    await api.patch(f"{DEPLOYMENTS}/{model}", body)


async def abort(api: Api, model: str, nonce: str) -> None:
    """Order the end of a rollout."""
    order = {names.ANNOTATION_COMMAND: "abort", names.ANNOTATION_NONCE: nonce}
    await api.patch(f"{DEPLOYMENTS}/{model}", {"metadata": {"annotations": order}})


class Kubelet:
    """Watches the children of deployments, stamps them, and gives Deployments a ready pod."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._addresses: dict[str, str] = {}
        self._servers: list[web.AppRunner] = []
        self._gate = asyncio.Semaphore(PODS_AT_ONCE)
        self.works = asyncio.Event()
        """Set while Deployments get pods."""
        self.works.set()
        self.made = Sightings()
        """When a Deployment was seen, by name."""
        self.gone = Sightings()
        """When a Deployment was seen to be gone, by name."""
        self.routed = Sightings()
        """When a Service was seen to select a revision, by `name revision`."""

    def forget(self) -> None:
        """Stamp everything anew from now on."""
        for sightings in (self.made, self.gone, self.routed):
            sightings.at.clear()

    async def run(self) -> None:
        """Work until cancelled; raises what went wrong."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_services())
                group.create_task(self._follow_workloads(group))
        finally:
            for server in self._servers:
                await server.cleanup()

    async def _follow_services(self) -> None:
        async for _, service in self._api.watch(SERVICES, names.LABEL_DEPLOYMENT):
            selector = service["spec"]["selector"]
            chosen = selector.get(names.LABEL_VERSION, EVERY_REVISION)
            self.routed.saw(f"{service['metadata']['name']} {chosen}")

    async def _follow_workloads(self, group: asyncio.TaskGroup) -> None:
        async for kind, workload in self._api.watch(WORKLOADS, names.LABEL_DEPLOYMENT, WATCH):
            name = workload["metadata"]["name"]
            if kind == "ADDED":
                self.made.saw(name)
                group.create_task(self._serve(name))
            if kind == "DELETED":
                self.gone.saw(name)
                group.create_task(self._clear(name))

    async def _serve(self, name: str) -> None:
        """Give a Deployment its pod."""
        await self.works.wait()
        async with self._gate:
            workload = await self._api.send("GET", f"{WORKLOADS}/{name}")
            address = await self._address(workload)
            pod = f"{PODS}/{name}-0"
            await self._api.send("POST", PODS, pod_of(workload, f"{name}-0"))
            await self._api.patch(f"{pod}/status", {"status": serving(address)})
            status = {"observedGeneration": workload["metadata"]["generation"]}
            status |= dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), 1)
            await self._api.patch(f"{WORKLOADS}/{name}/status", {"status": status})

    async def _address(self, workload: Any) -> str:
        """Return where the sentinel of a Deployment's pods answers."""
        (fetch, *_) = workload["spec"]["template"]["spec"]["initContainers"]
        told = next(entry["value"] for entry in fetch["env"] if entry["name"] == SERVE_VARIABLE)
        wanted = ServeConfig.model_validate_json(told).manifest_digest
        if wanted not in self._addresses:
            self._addresses[wanted] = next_address()
            server = sentinel(wanted)
            self._servers.append(server)
            await server.setup()
            await web.TCPSite(server, self._addresses[wanted], names.PORT_SENTINEL).start()
        return self._addresses[wanted]

    async def _clear(self, name: str) -> None:
        """Take the pod of a Deployment that is gone."""
        async with self._gate:
            await self._api.send("DELETE", f"{PODS}/{name}-0?gracePeriodSeconds=0")


@asynccontextmanager
async def kubelet(api: Api) -> AsyncIterator[Kubelet]:
    """Play the kubelet beside the block."""
    player = Kubelet(api)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(player.run())
        yield player
        playing.cancel()
