"""What end-to-end tests do with the installed product: apply, wait, and reach behind the scenes."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from demo import install, steps
from demo.cluster import ROOT, Cluster, StepFailed
from modelyard.api import names

Manifest = dict[str, Any]
Change = Callable[[dict[str, Any]], None]
TERMINAL = ("Complete", "Failed")
TRACES = ("Traceback (most recent call last)", "Task exception was never retrieved", "Unclosed ")


def unchanged(_: dict[str, Any]) -> None:
    """Leave a spec as the example has it."""


@dataclass(frozen=True)
class Yard:
    """One tenant's namespace on a cluster with the product."""

    cluster: Cluster
    keys: tuple[str, str]
    space: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.space, *arguments, stdin=stdin)

    def edit(self, name: str, **spec: Any) -> None:
        """Change fields of a ModelDeployment's spec."""
        steps.edit(self.cluster, self.space, name, **spec)

    @cached_property
    def myself(self) -> str:
        """The user name that the API server knows us by."""
        return self.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")

    def order(self, name: str, verb: str) -> None:
        """Give an order about a rollout, in our own name."""
        orders = {
            names.ANNOTATION_COMMAND: verb,
            names.ANNOTATION_NONCE: uuid4().hex,
            names.ANNOTATION_BY: self.myself,
        }
        pairs = [f"{annotation}={value}" for annotation, value in orders.items()]
        self.kubectl("annotate", "mdep", name, "--overwrite", *pairs)

    def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            manifest["metadata"].setdefault("namespace", self.space)
        listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.cluster.apply(json.dumps(listed))

    def get(self, kind: str, name: str) -> Manifest | None:
        return self.cluster.get("-n", self.space, kind, name)

    def found(self, kind: str, name: str) -> Manifest:
        found = self.get(kind, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    def listed(self, kind: str, selector: str = "") -> list[Manifest]:
        found = self.cluster.get("-n", self.space, kind, "-l", selector)
        return found["items"] if found else []

    def until(
        self, kind: str, name: str, reached: Callable[[Manifest], bool], seconds: float = 180
    ) -> Manifest:
        """Wait for a state of an object; a failure shows its conditions and all events."""
        try:
            return steps.wait_for(lambda: self._looked_at(kind, name), reached, seconds)
        except StepFailed as failed:
            events = self.kubectl("get", "events", "--sort-by=.lastTimestamp")
            raise AssertionError(f"{kind} {name}: {failed}\n{events[-6000:]}") from failed

    def _looked_at(self, kind: str, name: str) -> Manifest | None:
        """Return an object with a status, which is empty until somebody has written one."""
        found = self.get(kind, name)
        return {"status": {}, **found} if found else None

    def wait(
        self, kind: str, name: str, type_: str, *, reason: str = "", seconds: float = 180
    ) -> Manifest:
        """Wait until a condition is True or, if a reason is given, has that reason."""

        def reached(found: Manifest) -> bool:
            if reason:
                return steps.condition(found, type_).get("reason") == reason
            return steps.holds(found, type_)

        return self.until(kind, name, reached, seconds)

    def ended(self, name: str, seconds: float = 240) -> Manifest:
        """Wait until a training is Complete or Failed."""
        return self.until(
            "mtrain", name, lambda t: any(steps.holds(t, end) for end in TERMINAL), seconds
        )

    def completed(self, name: str, seconds: float = 240) -> Manifest:
        """Wait until a training is Complete, and nothing else."""
        training = self.ended(name, seconds)
        assert steps.holds(training, "Complete"), training["status"]
        return training

    def at_step(self, name: str, step: int, seconds: float = 120) -> Manifest:
        """Wait until a running training has reported a step."""

        def reached(training: Manifest) -> bool:
            status = training.get("status", {})
            assert not any(steps.holds(training, end) for end in TERMINAL), status
            return status.get("progress", {}).get("step", 0) >= step

        return self.until("mtrain", name, reached, seconds)

    def pod_of(self, selector: str) -> Manifest:
        """Return the one running pod of a selector."""
        pods = [p for p in self.listed("pods", selector) if p["status"]["phase"] == "Running"]
        (pod,) = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
        return pod

    @contextmanager
    def s3(self) -> Iterator[Any]:
        with install.store_client(self.cluster, self.keys) as client:
            yield client

    def upload(self, files: dict[str, bytes]) -> None:
        with self.s3() as client:
            for key, content in files.items():
                client.put_object(Bucket=install.BUCKET, Key=key, Body=content)

    def stored(self, prefix: str) -> list[str]:
        """Return the keys below a prefix of this namespace."""
        with self.s3() as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=install.BUCKET, Prefix=f"{self.space}/{prefix}"
            )
            return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def training(name: str, change: Change = unchanged) -> Manifest:
    """Return a ModelTraining of a few seconds, without GPU, of a model of its own."""

    def shrink(spec: dict[str, Any]) -> None:
        spec["modelName"] = name
        spec["recipe"]["architecture"] = {"name": "MLP", "denseUnits": [32]}
        spec["recipe"]["epochs"] = 1
        spec["compute"] = {
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": {"memory": "2Gi"},
            }
        }
        spec["evaluation"].pop("gates")
        spec["maxRetries"] = 0
        change(spec)

    return example("01-training.yaml", name, shrink)


def deployment(name: str, version: str, change: Change = unchanged) -> Manifest:
    """Return a ModelDeployment of a version."""

    def name_version(spec: dict[str, Any]) -> None:
        spec["modelVersionName"] = version
        change(spec)

    return example("02-deployment.yaml", name, name_version)


def example(file: str, name: str, change: Change = unchanged) -> Manifest:
    """Return an example with another name and a changed spec."""
    manifest: Manifest = yaml.safe_load((ROOT / "examples" / file).read_text())
    manifest["metadata"] = {"name": name}
    change(manifest["spec"])
    return manifest


def data(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a data source of a spec."""
    return next(source for source in spec["data"] if source["name"] == name)


def kill_in_pod(pod: Manifest, word: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal the processes of a pod whose command line has a word, as this machine sees them.

    From outside the pod's pid namespace, where its first process is not protected.
    """
    uid = pod["metadata"]["uid"]
    pids = [pid for pid in _pids() if uid in _read(pid, "cgroup") and word in _read(pid, "cmdline")]
    assert pids, f"no process with {word!r} in pod {pod['metadata']['name']}"
    for pid in pids:
        os.kill(pid, number)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""


def operator_log(cluster: Cluster) -> str:
    """Return what the present operator pods have logged, also before a restart of theirs."""
    selector = ("-l", "app.kubernetes.io/component=operator", "--tail=-1")
    log = cluster.kubectl("-n", install.SYSTEM, "logs", *selector)
    for pod in cluster.get("-n", install.SYSTEM, "pods", *selector[:2])["items"]:
        statuses = pod["status"].get("containerStatuses", [])
        if any(status["restartCount"] for status in statuses):
            name = pod["metadata"]["name"]
            log += cluster.kubectl("-n", install.SYSTEM, "logs", name, "--previous")
    return log


def assert_clean(log: str) -> None:
    """Fail if an operator's log shows a bug."""
    lines = log.splitlines()
    bad = [n for n, line in enumerate(lines) if any(trace in line for trace in TRACES)]
    assert not bad, "\n".join(lines[max(0, bad[0] - 5) : bad[0] + 40])
