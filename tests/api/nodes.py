"""The parts of Kubernetes that an API server alone lacks: controllers, kubelet, garbage collector.

In the namespaces that a test names, Jobs get their pod, Deployments their pods, and orphans go.
Trainers keep the run contract: they read `MODELYARD_RUN` and publish to a real store. Servers read
`MODELYARD_SERVE`, check the manifest in the store, and answer on a loopback address of their own.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from os import getpid
from pathlib import Path
from typing import Any

from aiohttp import web

from modelyard.api.errors import Refused, Retry
from modelyard.api.names import LABEL_OWNER_UID, PORT_SENTINEL
from modelyard.api.run import RUN_VARIABLE, RunConfig, RunResult
from modelyard.api.serve import SERVE_VARIABLE, GoldenVerdict, SentinelStatus, ServeConfig
from modelyard.api.store import ModelKeys
from modelyard.kube.kinds import DEPLOYMENT, JOB, KINDS, POD, Key, Raw, key_of
from modelyard.store.client import connect
from modelyard.store.credentials import Credentials
from modelyard.store.publication import publish
from modelyard.store.verify import verify_manifest
from tests.api.admin import MERGE, Admin
from tests.api.artifacts import draft
from tests.api.recorder import Recorder

NODE = "node-1"
ADDRESSES = count(1)
COLLECTED = ("Job", "Deployment", "Service", "Pod")
FORCE = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}


@dataclass(frozen=True)
class Play:
    """How the parts are played in one namespace."""

    model: Path
    """What a trainer publishes."""
    credentials: Credentials
    exit_code: Callable[[RunConfig], int | None] = lambda _: 0
    """How an attempt ends; None lets it run on."""
    published: Callable[[], None] = lambda: None
    """Called between the publication and the trainer's end."""


@dataclass(frozen=True)
class Server:
    """What answers in the place of a serving pod."""

    namespace: str
    runner: web.AppRunner


class Nodes:
    """Plays the parts; belongs to one event loop."""

    def __init__(self, admin: Admin, recorder: Recorder) -> None:
        self.admin = admin
        self.recorder = recorder
        self._news: dict[str, asyncio.Event] = {}
        self._plays: dict[str, asyncio.Task[None]] = {}
        self._servers: dict[str, Server] = {}
        self._begun: set[str] = set()
        """Uids of Jobs that had their pod, and of trainers that came to their end."""
        self._ended: set[str] = set()
        """Uids of Jobs that have ended."""
        recorder.listen(self._notice)

    async def begin(self, namespace: str, play: Play) -> None:
        """Play in a namespace from now on."""
        self._news[namespace] = asyncio.Event()
        self._news[namespace].set()
        self._plays[namespace] = asyncio.create_task(self._play(namespace, play))

    async def end(self, namespace: str) -> None:
        """End the play in a namespace, and its servers; raise what went wrong in it."""
        task = self._plays.pop(namespace, None)
        if task is None:
            return
        self._news.pop(namespace).set()
        try:
            await task
        finally:
            for uid, server in list(self._servers.items()):
                if server.namespace == namespace:
                    await self._servers.pop(uid).runner.cleanup()

    def _notice(self, namespace: str) -> None:
        if namespace in self._news:
            self._news[namespace].set()

    async def _play(self, namespace: str, play: Play) -> None:
        """Let every part look at every object after each change."""
        news = self._news[namespace]
        while self._news.get(namespace) is news:
            await news.wait()
            news.clear()
            await self._collect(namespace)
            for job in filter(_ours, self.recorder.of(namespace, JOB.name)):
                await self._job(play, job)
            for workload in filter(_ours, self.recorder.of(namespace, DEPLOYMENT.name)):
                await self._deployment(play, workload)

    async def _collect(self, namespace: str) -> None:
        """Delete what belongs to an owner that is gone."""
        for kind in COLLECTED:
            for raw in self.recorder.of(namespace, kind):
                owners = raw["metadata"].get("ownerReferences") or []
                if owners and all(owner["uid"] in self.recorder.dead for owner in owners):
                    await self._delete(raw)

    async def _delete(self, raw: Raw) -> None:
        key, uid = key_of(raw), raw["metadata"]["uid"]
        body = {**FORCE, "preconditions": {"uid": uid}}
        await self.admin.send("DELETE", _path(key), body)
        if uid in self._servers:
            await self._servers.pop(uid).runner.cleanup()

    async def _job(self, play: Play, job: Raw) -> None:
        """Give a Job its pod, once; let the trainer in it run; end the Job."""
        meta, status = job["metadata"], job.get("status") or {}
        if status.get("conditions") or meta.get("deletionTimestamp"):
            return
        pod = self.recorder.get("Pod", meta["namespace"], f"{meta['name']}-0")
        if pod is None and meta["uid"] not in self._begun:
            self._begun.add(meta["uid"])
            await self._create_pod(job, f"{meta['name']}-0")
        elif pod is not None and _owned(pod, meta["uid"]):
            await self._trainer(play, job, pod)

    async def _trainer(self, play: Play, job: Raw, pod: Raw) -> None:
        phase = pod["status"]["phase"]
        if phase == "Pending":
            await self._set(pod, phase="Running", containerStatuses=[_container(running={})])
        elif phase == "Running":
            config = RunConfig.model_validate_json(_told(pod, "containers", RUN_VARIABLE))
            code, uid = play.exit_code(config), pod["metadata"]["uid"]
            if code is not None and uid not in self._begun:
                self._begun.add(uid)
                await self._end(pod, *await asyncio.to_thread(_trained, play, config, code))
        else:
            await self._end_job(job, done=phase == "Succeeded")

    async def _end(self, pod: Raw, code: int, message: str) -> None:
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
        phase = "Failed" if code else "Succeeded"
        await self._set(pod, phase=phase, containerStatuses=[_container(terminated=ended)])

    async def _end_job(self, job: Raw, done: bool) -> None:
        """End a Job, once: the recorder may hear of that later than we look again."""
        uid = job["metadata"]["uid"]
        if uid in self._ended:
            return
        self._ended.add(uid)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kinds = ("SuccessCriteriaMet", "Complete") if done else ("FailureTarget", "Failed")
        reason = "CompletionsReached" if done else "BackoffLimitExceeded"
        stamp = {"status": "True", "reason": reason, "message": "", "lastTransitionTime": now}
        status = {
            "startTime": now,
            "active": 0,
            "ready": 0,
            "terminating": 0,
            "uncountedTerminatedPods": {},
            "conditions": [{"type": kind, **stamp} for kind in kinds],
        }
        if done:
            status |= {"succeeded": 1, "completedIndexes": "0", "completionTime": now}
        else:
            status |= {"failed": 1}
        await self._set(job, **status)

    async def _deployment(self, play: Play, workload: Raw) -> None:
        """Give a Deployment its pods, let them serve, and count the ready ones."""
        meta, wanted = workload["metadata"], workload["spec"]["replicas"]
        pods = [p for p in self.recorder.of(meta["namespace"], "Pod") if _owned(p, meta["uid"])]
        for number in range(wanted):
            name = f"{meta['name']}-{number}"
            if all(pod["metadata"]["name"] != name for pod in pods):
                await self._create_pod(workload, name)
        for pod in pods[wanted:]:
            await self._delete(pod)
        for pod in pods[:wanted]:
            if pod["status"]["phase"] == "Pending":
                await self._serve(play, pod)
        ready = sum(bool(_ready(pod)) for pod in pods[:wanted])
        status = {"observedGeneration": meta["generation"], "replicas": wanted}
        status |= {"readyReplicas": ready, "availableReplicas": ready}
        if any((workload.get("status") or {}).get(k, 0) != v for k, v in status.items()):
            await self._set(workload, **status)

    async def _serve(self, play: Play, pod: Raw) -> None:
        uid = pod["metadata"]["uid"]
        config = ServeConfig.model_validate_json(_told(pod, "initContainers", SERVE_VARIABLE))
        if uid in self._servers or not await asyncio.to_thread(_fetched, play, config):
            return
        address, runner = next_address(), sentinel(config.manifest_digest)
        self._servers[uid] = Server(config.namespace, runner)
        await runner.setup()
        await web.TCPSite(runner, address, PORT_SENTINEL).start()
        await self._set(pod, **serving(address))

    async def _create_pod(self, owner: Raw, name: str) -> None:
        await self.admin.send("POST", POD.path(owner["metadata"]["namespace"]), pod_of(owner, name))

    async def _set(self, raw: Raw, **status: Any) -> None:
        path = _path(key_of(raw)) + "/status"
        await self.admin.send("PATCH", path, {"status": status}, MERGE)


def pod_of(owner: Raw, name: str) -> Raw:
    """Return a pod from the template of a Job or a Deployment."""
    meta, template = owner["metadata"], owner["spec"]["template"]
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {"name": meta["name"], "uid": meta["uid"], "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [reference],
        },
        "spec": {**template["spec"], "nodeName": NODE},
    }


def serving(address: str) -> Raw:
    """Return the status of a pod that serves."""
    ready = [{"type": "Ready", "status": "True"}]
    ips = {"podIP": address, "podIPs": [{"ip": address}]}
    return {"phase": "Running", "conditions": ready, **ips}


def _path(key: Key) -> str:
    return KINDS[key.kind].path(key.namespace, key.name)


def _ours(raw: Raw) -> bool:
    return LABEL_OWNER_UID in (raw["metadata"].get("labels") or {})


def _owned(raw: Raw, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in raw["metadata"].get("ownerReferences") or ())


def _ready(pod: Raw) -> Iterable[Raw]:
    found = pod["status"].get("conditions") or ()
    return [c for c in found if (c["type"], c["status"]) == ("Ready", "True")]


def _container(**state: Any) -> Raw:
    image = {"image": "trainer", "imageID": "trainer@sha256:" + "1" * 64}
    ready = "running" in state
    return {"name": "trainer", **image, "ready": ready, "restartCount": 0, "state": state}


def _told(pod: Raw, group: str, variable: str) -> str:
    """Return the value of a variable of a pod's first container."""
    env = pod["spec"][group][0]["env"]
    return next(entry["value"] for entry in env if entry["name"] == variable)


def _trained(play: Play, config: RunConfig, code: int) -> tuple[int, str]:
    """Do what a trainer does at the end: leave a checkpoint, publish; return code and message."""
    store = connect(config.store, play.credentials)
    keys = ModelKeys(config.store.prefix, config.namespace, config.model_name)
    place = keys.attempt(config.training_uid, config.attempt)
    store.put(place + "checkpoints/10", b"weights", if_none_match=False)
    if code:
        return code, RunResult(exit_code=code, message="It failed.", last_step=10).model_dump_json(
            by_alias=True, exclude_none=True
        )
    try:
        published = publish(store, keys, draft(config), play.model)
    except (Refused, Retry) as obstacle:
        return 1, str(obstacle)
    play.published()
    done = RunResult(
        exit_code=0,
        version=published.version,
        manifest_digest=published.manifest_digest,
        last_step=100,
    )
    return 0, done.model_dump_json(by_alias=True, exclude_none=True)


def _fetched(play: Play, config: ServeConfig) -> bool:
    """Do what the fetcher does first: find the very manifest that it was told."""
    store = connect(config.store, play.credentials)
    keys = ModelKeys(config.store.prefix, config.namespace, config.model_name)
    return verify_manifest(store, keys, config.version, config.manifest_digest).state == "Found"


def next_address() -> str:
    """Return a loopback address that no other pod of this process has."""
    number = next(ADDRESSES)
    return f"127.{64 + getpid() % 128}.{number // 250 % 256}.{number % 250 + 1}"


def sentinel(digest: str) -> web.AppRunner:
    """Answer as a sentinel whose golden predictions passed."""
    status = SentinelStatus(digest=digest, golden=GoldenVerdict.PASSED)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps(status.dump()), content_type="application/json")

    app = web.Application()
    app.router.add_get("/status", answer)
    return web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
