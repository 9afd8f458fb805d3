"""Everything in the cluster that is not the operator: Job and Deployment controllers, kubelets,
trainers, servers. Each call moves one object one step; `kind` outcomes are for a quiet cluster.
"""

import json
import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelyard.api import names
from modelyard.api.errors import Retry
from modelyard.api.run import ProgressReport
from modelyard.api.serve import ServerCounters
from modelyard.api.training import MetricValue
from modelyard.kube.kinds import Key, Raw, key_of
from modelyard.plan.observed import SentinelFact
from tests.builders import OTHER_DIGEST, result_text, text
from tests.simulation.gateway import Gateway
from tests.simulation.model import ApiModel
from tests.simulation.shelf import Shelf

STEPS = 100
LOADED = 15
"""Steps, as the simulation counts them, until a trainer has read its data."""
MOST_RESTARTS = 6
ENDINGS = {
    "done": 40,
    "half": 4,
    "foreign": 2,
    "published, exit-1": 5,
    "published, exit-143": 3,
    "published, lost": 4,
    "exit-1": 12,
    "exit-64": 2,
    "exit-65": 2,
    "exit-70": 2,
    "exit-75": 8,
    "exit-137": 5,
    "oom": 5,
    "disrupted": 8,
    "lost": 6,
}
SIGNATURE = {"inputs": [], "outputs": [], "name": "other"}
MODELS: tuple[dict[str, Any], ...] = (
    *({},) * 12,
    {"accuracy": "0.5"},
    {"accuracy": "0.5"},
    {"goldenSet": None},
    {"signatures": [SIGNATURE]},
    {"metrics": []},
)
"""How manifests differ; most have a good model."""

SERVING = {"name": "server", "state": {"running": {}}, "restartCount": 0}
LONG = "It went wrong. " * 60
LAST_WORDS = (
    "",
    "Traceback",
    result_text(exit_code=1, version=None, manifest_digest=None, last_step=None),
    result_text(exit_code=1, version=None, manifest_digest=None, message=LONG, hint=LONG),
    result_text(exit_code=1, version=None, manifest_digest=None, category="StoreError"),
)
HALF_RESULTS = ("bye", result_text(version=None), result_text(manifest_digest=None))
POLICY_CODES = frozenset({64, 65, 70, 75})
WAITS = ("ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "ContainerCreating")


def condition(raw: Raw, kind: str) -> Raw:
    conditions = (raw.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {"status": "", "reason": ""})


def is_true(raw: Raw, kind: str) -> bool:
    return bool(condition(raw, kind)["status"] == "True")


def finished(pod: Raw) -> bool:
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def _said_of(pods: list[Raw]) -> str:
    """Return what a failed Job's condition says of a pod that its podFailurePolicy matched."""
    for pod in pods:
        for entry in pod["status"].get("containerStatuses") or []:
            code = entry["state"].get("terminated", {}).get("exitCode")
            if code in POLICY_CODES:
                where = f"Container trainer for pod {pod['metadata']['name']}"
                return f"{where} failed with exit code {code} matching FailJob rule at index 0"
    return ""


def owned(raw: Raw, uid: str) -> bool:
    return any(o["uid"] == uid for o in raw["metadata"].get("ownerReferences") or [])


@dataclass
class Nodes:
    """The controllers and kubelets of the simulated cluster."""

    api: ApiModel
    shelf: Shelf
    random: random.Random
    gateway: Gateway
    kind: bool = False
    """Whether everything goes well from now on."""
    steps: dict[str, int] = field(default_factory=dict)
    """Steps done, by pod uid."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """How a digest behaves when served: good, failing, slow, golden (wrong answers), or crash."""
    counted: dict[str, ServerCounters] = field(default_factory=dict)
    """What servers have answered, by pod uid."""
    begun: set[str] = field(default_factory=set)
    """Jobs that had a pod."""
    zombies: list[Raw] = field(default_factory=list)
    """Trainers' pods on lost nodes: the API server has forgotten them, and they go on."""

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pods_of(self, uid: str) -> list[Raw]:
        return [pod for pod in self.api.all("Pod") if owned(pod, uid)]

    def job(self, job: Raw) -> None:
        """Let the Job controller look at a Job."""
        if (job.get("status") or {}).get("conditions") or job["metadata"].get("deletionTimestamp"):
            return
        pods = self.pods_of(job["metadata"]["uid"])
        if not pods and job["metadata"]["uid"] not in self.begun:
            self.begun.add(job["metadata"]["uid"])
            self._new_pod(job, job["spec"]["template"])
        elif not pods:
            self._end_job(job, "Failed")
        elif all(finished(pod) for pod in pods):
            done = any(pod["status"]["phase"] == "Succeeded" for pod in pods)
            self._end_job(job, "Complete" if done else "Failed", _said_of(pods))

    def late_pod(self) -> None:
        """Let the Job controller create a pod of a Job whose deletion it has not seen."""
        gone = [raw for verb, raw in self.api.logs["Job"] if verb == "DELETED"]
        owned_ones = [raw for raw in gone if raw["metadata"].get("ownerReferences")]
        if owned_ones:
            job = self.random.choice(owned_ones)
            self._new_pod(job, job["spec"]["template"])

    def _end_job(self, job: Raw, kind: str, message: str = "") -> None:
        condition = {"type": kind, "status": "True", "reason": "R", "message": message}
        self.api.change("job-controller", key_of(job), status={"conditions": [condition]})

    def _new_pod(self, owner: Raw, template: Raw, annotations: Raw | None = None) -> None:
        meta = owner["metadata"]
        self.api.create(
            "controller",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{meta['name']}-{self.api.uids}",
                    "namespace": meta["namespace"],
                    "labels": template["metadata"]["labels"],
                    "annotations": annotations or {},
                    "ownerReferences": [
                        {"kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
                    ],
                },
                "spec": {},
                "status": {"phase": "Pending"},
            },
        )

    def pod(self, pod: Raw) -> None:
        """Let the kubelet (or the scheduler) look at a pod."""
        trainer = names.LABEL_TRAINING in pod["metadata"]["labels"]
        if pod["metadata"].get("deletionTimestamp"):
            self._stop(pod, trainer)
        elif finished(pod):
            return
        elif not pod["spec"].get("nodeName"):
            self._schedule(pod)
        elif trainer:
            self._train(pod)
        else:
            self._serve(pod)

    def _status(self, pod: Raw, **status: Any) -> None:
        self.api.change("kubelet", key_of(pod), status={**pod["status"], **status})

    def _schedule(self, pod: Raw) -> None:
        if self.kind or self.chance(0.8):
            status = {**pod["status"], "conditions": []}
            self.api.change("scheduler", key_of(pod), spec={"nodeName": "node-1"}, status=status)
            return
        reason = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
        self._status(pod, conditions=[reason])

    def _stop(self, pod: Raw, trainer: bool) -> None:
        if finished(pod) or not trainer:
            self.api.vanish("kubelet", key_of(pod))
        elif self.kind or self.chance(0.7):
            self._end(pod, self.random.choice((75, 143, 137)))
        else:
            self.api.vanish("kubelet", key_of(pod))

    def _train(self, pod: Raw) -> None:
        container = (pod["status"].get("containerStatuses") or [{}])[0]
        if "running" not in container.get("state", {}):
            self._start(pod)
        elif self.chance(0.8) and not self.kind:
            uid = pod["metadata"]["uid"]
            self.steps[uid] = min(
                STEPS, self.steps.get(uid, 0) + self.random.choice((1, 5, 20, 40))
            )
        else:
            self._finish(pod)

    def _start(self, pod: Raw) -> None:
        if self.kind or self.chance(0.8):
            state: Raw = {"running": {}}
            self._container(pod, "Running", state, podIP="10.0.0.1", conditions=[])
            return
        message = "secret not found" if self.chance(0.5) else "no"
        state = {"waiting": {"reason": self.random.choice(WAITS), "message": message}}
        self._container(pod, "Pending", state)

    def _container(self, pod: Raw, phase: str, state: Raw, **status: Any) -> None:
        entry = {"name": "trainer", "state": state, "imageID": "image@sha256:1"}
        self._status(pod, phase=phase, containerStatuses=[entry], **status)

    def _end(self, pod: Raw, code: int, message: str = "", reason: str = "Error") -> None:
        ended = {"exitCode": code, "message": message, "reason": reason}
        self._container(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    def _finish(self, pod: Raw) -> None:
        names_, weights = zip(*ENDINGS.items(), strict=True)
        ending = "done" if self.kind else self.random.choices(names_, weights)[0]
        if ending.startswith("published, "):
            self._commit(pod)
        name, _, code = ending.removeprefix("published, ").partition("-")
        if code:
            self._end(pod, int(code), self.random.choice(LAST_WORDS))
        else:
            getattr(self, f"_ends_{name}")(pod)

    def _ends_half(self, pod: Raw) -> None:
        """End well without saying what was published."""
        self._end(pod, 0, self.random.choice(HALF_RESULTS))

    def _ends_oom(self, pod: Raw) -> None:
        self._end(pod, 137, reason="OOMKilled")

    def _ends_disrupted(self, pod: Raw) -> None:
        reason = {"type": "DisruptionTarget", "status": "True", "reason": "Preempted"}
        self._status(pod, conditions=[reason])
        self._end(self.api.get(key_of(pod)), 143)

    def _ends_lost(self, pod: Raw) -> None:
        """Let the API server forget a pod that goes on."""
        self.zombies.append(pod)
        self.api.vanish("node-controller", key_of(pod))

    def _ends_foreign(self, pod: Raw) -> None:
        """End as a program does that mistakes another training's version for its own."""
        places = sorted(self.shelf.committed)
        version, digest = 1, "sha256:" + "0" * 64
        if places:
            place = self.random.choice(places)
            version, digest = place[2], self.shelf.at(place)[1]
        self._end(pod, 0, result_text(version=version, manifest_digest=digest))

    def zombie(self) -> None:
        """Let a forgotten trainer try to publish."""
        if self.zombies:
            self._commit(self.zombies.pop())

    def _commit(self, pod: Raw) -> tuple[int, str] | None:
        labels = pod["metadata"]["labels"]
        namespace = pod["metadata"]["namespace"]
        training = self.api.objects.get(
            Key("ModelTraining", namespace, labels[names.LABEL_TRAINING])
        )
        if training is None or self.shelf.down:
            return None
        if training["metadata"]["uid"] != labels[names.LABEL_OWNER_UID]:
            return None
        model = {} if self.kind else self.random.choice(MODELS)
        try:
            return self.shelf.publish(training, int(labels[names.LABEL_ATTEMPT]), model)
        except Retry:
            return None

    def _ends_done(self, pod: Raw) -> None:
        committed = self._commit(pod)
        if committed is None:
            text = result_text(
                exit_code=1, version=None, manifest_digest=None, category="StoreError"
            )
            self._end(pod, 1, text)
            return
        version, digest = committed
        step = self.steps.get(pod["metadata"]["uid"], 0)
        measured = MetricValue(name="accuracy", value="0.97", step=step)
        text = result_text(
            version=version,
            manifest_digest=digest,
            metrics=(measured,) if step > 50 else (),
            last_step=self.random.choice((None, step)),
        )
        self._end(pod, 0, text, "Completed")

    def report(self, pod: Raw) -> ProgressReport | None:
        """Answer a poll of a trainer's pod."""
        if pod["status"].get("phase") != "Running" or (not self.kind and self.chance(0.1)):
            return None
        step = self.steps.get(pod["metadata"]["uid"], 0)
        late = self.random.choice(("Evaluating", "Exporting", "Publishing"))
        validated = MetricValue(name="val_accuracy", value="0.9", step=step)
        return ProgressReport(
            phase="Fetching" if step < LOADED else "Training" if step < STEPS else late,
            attempt=int(pod["metadata"]["labels"][names.LABEL_ATTEMPT]),
            step=step,
            total_steps=STEPS if step >= LOADED else 0,
            checkpoint_step=step // 20 * 20 or None,
            examples_per_second=self.random.choice(("120", "120000")) if step > 20 else None,
            resumed_from_step=self.random.choice((None, 10)),
            metrics=(validated,) if step > 50 else (),
        )

    def deployment(self, workload: Raw) -> None:
        """Let the Deployment controller look at a Deployment."""
        wanted, pods = workload["spec"]["replicas"], self.pods_of(workload["metadata"]["uid"])
        staying = [
            pod
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp") and not finished(pod)
        ]
        for pod in staying[wanted:]:
            self.api.delete("deployment-controller", key_of(pod))
        template = workload["spec"]["template"]
        told = template["spec"]["initContainers"][0]["env"][0]["value"]
        for _ in range(wanted - len(staying)):
            self._new_pod(workload, template, {"serve": told})
        ready = sum(is_true(pod, "Ready") for pod in staying[:wanted])
        generation = workload["metadata"]["generation"]
        status = {"readyReplicas": ready, "observedGeneration": generation}
        self.api.change("deployment-controller", key_of(workload), status=status)

    def _serve(self, pod: Raw) -> None:
        told = json.loads(pod["metadata"]["annotations"]["serve"])
        place = (told["namespace"], told["modelName"], told["version"], told["manifestDigest"])
        if pod["status"].get("phase") != "Running" and not self.shelf.holds(*place):
            waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
            ended = {"lastState": {"terminated": {"exitCode": 1, "message": "no manifest"}}}
            fetch = {"name": "fetch", "state": waiting, **ended}
            self._status(pod, initContainerStatuses=[fetch])
            return
        match self.verdict(told["manifestDigest"]):
            case "good" | "failing" | "slow":
                if not self.kind and is_true(pod, "Ready") and self.chance(0.02):
                    self._crash(pod)
                    return
                flaky = not self.kind and self.chance(0.08)
                ready = [] if flaky else [{"type": "Ready", "status": "True"}]
                fetched = {"name": "fetch", "state": {"terminated": {"exitCode": 0}}}
                self._status(
                    pod,
                    phase="Running",
                    podIP="10.0.0.2",
                    conditions=ready,
                    initContainerStatuses=[fetched],
                    containerStatuses=[self._server(pod)],
                )
            case "golden" | "digest":
                self._status(pod, phase="Running", podIP="10.0.0.2", containerStatuses=[SERVING])
            case "crash":
                self._crash(pod)

    def _server(self, pod: Raw) -> Raw:
        known = (pod["status"].get("containerStatuses") or [{}])[0]
        return {**SERVING, "restartCount": known.get("restartCount", 0)}

    def _crash(self, pod: Raw) -> None:
        before = (pod["status"].get("containerStatuses") or [{}])[0].get("restartCount", 0)
        ended = {"terminated": {"exitCode": 139, "message": "segfault"}}
        server = {
            "name": "server",
            "restartCount": min(before + 1, MOST_RESTARTS),
            "lastState": ended,
        }
        self._status(pod, phase="Running", podIP="10.0.0.2", containerStatuses=[server])

    def verdict(self, digest: str) -> str:
        """Return how a digest behaves; decided once, with a draw the first time."""
        if digest not in self.verdicts:
            draw = self.random.random()
            good = self.kind or draw < 0.7
            bad = "golden" if draw < 0.8 else "digest" if draw < 0.85 else "crash"
            bad = bad if draw < 0.9 else "failing" if draw < 0.95 else "slow"
            self.verdicts[digest] = "good" if good else bad
        return self.verdicts[digest]

    def counters(self, pod: Raw) -> ServerCounters:
        """Let a server answer its share of the requests, and count them."""
        uid = pod["metadata"]["uid"]
        before = self.counted.get(uid, ServerCounters())
        asked = 0
        if is_true(pod, "Ready"):
            asked = self._asked(pod, 100 if self.kind else self.random.choice((0, 3, 100)))
        digest = json.loads(pod["metadata"]["annotations"]["serve"])["manifestDigest"]
        verdict = self.verdict(digest)
        failed = asked // 3 if verdict == "failing" else 0
        latency = list(before.latency)
        latency[self.random.choice((15, 16)) + (4 if verdict == "slow" else 0)] += asked
        self.counted[uid] = ServerCounters(
            requests=before.requests + asked,
            server_errors=before.server_errors + failed,
            latency=tuple(latency),
        )
        return self.counted[uid]

    def _asked(self, pod: Raw, requests: int) -> int:
        """Return how many of the requests a pod gets: by a route, or by the public Service."""
        labels, namespace = pod["metadata"]["labels"], pod["metadata"]["namespace"]
        deployment, revision = labels[names.LABEL_DEPLOYMENT], labels[names.LABEL_VERSION]
        service = names.serving_name(deployment, revision)
        weight = self.gateway.weight(namespace, deployment, service)
        if weight is None:
            return requests if self._selected(pod) else 0
        fellows = [
            other
            for other in self.api.all("Pod")
            if other["metadata"]["labels"] == labels and is_true(other, "Ready")
        ]
        return requests * 6 * weight // 100 // len(fellows)

    def _selected(self, pod: Raw) -> bool:
        labels, namespace = pod["metadata"]["labels"], pod["metadata"]["namespace"]
        service = self.api.objects.get(Key("Service", namespace, labels[names.LABEL_DEPLOYMENT]))
        selector = service["spec"]["selector"] if service else {"": ""}
        return all(labels.get(name) == value for name, value in selector.items())

    def fact(self, pod: Raw) -> SentinelFact | None:
        """Answer a poll of a server's sentinel."""
        if pod["status"].get("phase") != "Running" or (not self.kind and self.chance(0.1)):
            return None
        digest = json.loads(pod["metadata"]["annotations"]["serve"])["manifestDigest"]
        golden = "Passed" if is_true(pod, "Ready") else "Pending"
        if self.verdict(digest) == "golden":
            golden = "Failed"
        served = OTHER_DIGEST if self.verdict(digest) == "digest" else digest
        said = self.random.choice(("", "The server is starting."))
        counters = self.counters(pod) if is_true(pod, "Ready") else None
        return SentinelFact(
            pod["metadata"]["uid"],
            served,
            golden,  # type: ignore[arg-type]
            said,
            counters,
            text(self.now),
        )

    @property
    def now(self) -> datetime:
        return self.api.clock()
