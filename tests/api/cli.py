"""The command line as a person runs it, and objects in the states that it is asked about."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.api import names
from modelyard.api.deployment import ServerSpec
from modelyard.plan.revision import revision_of
from tests.api.operators import ROOT, Cluster, place

PATHS = os.pathsep.join(str(ROOT / folder) for folder in ("operator", "cli"))
DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "fedcba9876543210" * 4
DIGESTS = {1: DIGEST, 2: OTHER}
"""Manifests of digits-v1 and digits-v2."""
SERVED = revision_of(DIGEST, ServerSpec())
NEXT = revision_of(OTHER, ServerSpec())


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """Runs commands in one namespace."""

    kubeconfig: Path
    namespace: str
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, seconds: float = 60, stdin: str | None = None) -> Said:
        """Run a command to its end."""
        done = subprocess.run(
            self.words(*words),
            env=self.surroundings(),
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
            input=stdin,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the block; it is ended with it."""
        process = subprocess.Popen(
            self.words(*words),
            env=self.surroundings(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)

    def words(self, *words: str) -> list[str]:
        """Return the command line."""
        alone = words[0] in {"version", "completion"} or "--help" in words
        own = [] if alone else ["--namespace", self.namespace]
        return [sys.executable, "-m", "modelyard_cli", *words, *own]

    def surroundings(self) -> dict[str, str]:
        """Return the environment."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        own = {"PYTHONPATH": PATHS, "KUBECONFIG": str(self.kubeconfig), "COLUMNS": "120"}
        return kept | own | self.environment


def written(cluster: Cluster, kind: str, namespace: str, name: str, **status: Any) -> Any:
    """Write fields of a status as the operator does, which may take them back; None removes."""
    found = cluster.get(kind, namespace, name).get("status") or {}
    whole = {k: v for k, v in {**found, **status}.items() if v is not None}
    body = {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "status": whole,
    }
    path = place(kind, namespace, name) + "/status"
    return cluster.call("APPLY", path, body, fieldManager=names.STATUS_MANAGER, force="true")


def judged(**given: str) -> list[dict[str, Any]]:
    """Write conditions as `Ready="True/Available/Its message."`."""
    made = []
    for kind, text in given.items():
        status, reason, message = (*text.split("/", 2), "")[:3]
        stamp = {"lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 1}
        made.append({"type": kind, "status": status, "reason": reason, "message": message, **stamp})
    return made


def version(number: int, namespace: str, accuracy: str = "0.97", **lineage: Any) -> dict[str, Any]:
    """Return a ModelVersion of the model digits."""
    tensor = {"name": "image", "dtype": "float32", "shape": [-1, 8, 8, 1]}
    data = {"name": "train", "uri": "s3://modelyard/datasets/digits/train.npz", "rows": 1347}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": f"digits-v{number}", "namespace": namespace},
        "spec": {
            "modelName": "digits",
            "version": number,
            "source": {"training": {"name": f"run-{number}", "uid": f"uid-{number}", "attempt": 1}},
            "artifact": {
                "storeName": "default",
                "path": f"{namespace}/digits/{number}/",
                "manifestDigest": DIGESTS[number],
                "files": 4,
                "bytes": 123456,
            },
            "signatures": [{"name": "serving_default", "inputs": [tensor], "outputs": [tensor]}],
            "metrics": [
                {"name": "accuracy", "value": accuracy, "dataName": "eval"},
                {"name": "log_loss", "value": "0.12", "dataName": "eval"},
            ],
            "lineage": {
                "recipeDigest": DIGEST,
                "seed": 42,
                "datasets": [{**data, "digest": DIGEST}],
                **lineage,
            },
        },
    }


def ready_version(cluster: Cluster, number: int, namespace: str, **changes: Any) -> Any:
    """Create a version that can be served."""
    made = cluster.create(version(number, namespace, **changes))
    conditions = judged(
        Committed="True/ManifestWritten",
        Verified="True/DigestsMatch",
        Servable="True/SignatureFound",
        InUse="False/NotServed",
    )
    written(
        cluster,
        "ModelVersion",
        namespace,
        made["metadata"]["name"],
        phase="Ready",
        observedGeneration=1,
        conditions=conditions,
        primaryMetric=f"accuracy={changes.get('accuracy', '0.97')}",
        shortDigest=DIGESTS[number][7:19],
        size="121KiB",
    )
    return made


def served(number: int, **changes: Any) -> dict[str, Any]:
    """Return the record of a version with pods, as a deployment's status has it."""
    return {
        "modelVersionName": f"digits-v{number}",
        "modelName": "digits",
        "version": number,
        "revision": NEXT if number == 2 else SERVED,
        "digest": DIGESTS[number],
        "storeName": "default",
        "server": {},
        "servedDigest": DIGESTS[number],
        "readyReplicas": 1,
        "since": "2026-01-31T11:00:00Z",
        **changes,
    }


def change(number: int, action: str, version: int, before: int | None, **more: Any) -> Any:
    """Return an entry of a deployment's history."""
    entry = {
        "number": number,
        "action": action,
        "version": f"digits-v{version}",
        "revision": NEXT if version == 2 else SERVED,
        "digest": DIGESTS[version],
        "by": "modelyard",
        "time": "2026-01-31T11:00:00Z",
        "durationSeconds": 75,
        **more,
    }
    return entry | ({"fromVersion": f"digits-v{before}"} if before else {})


def deployed(
    cluster: Cluster, namespace: str, spec: dict[str, Any] | None = None, **status: Any
) -> Any:
    """Create the deployment `web` that serves digits-v1, or stands where `status` says."""
    cluster.create(
        {
            "apiVersion": names.API_VERSION,
            "kind": "ModelDeployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"modelVersionName": "digits-v1", **(spec or {})},
        }
    )
    at_rest = {
        "observedGeneration": 1,
        "phase": "Healthy",
        "replicas": 1,
        "readyReplicas": 1,
        "ready": "1/1",
        "stable": served(1),
        "history": [change(1, "Deployed", 1, None)],
        "conditions": judged(Accepted="True/SpecAccepted", Ready="True/Available/It answers."),
    }
    return written(cluster, "ModelDeployment", namespace, "web", **{**at_rest, **status})


STEPS = {"rollout": {"steps": [{"weight": 25, "holdSeconds": 60}, {"pause": {}}, {"weight": 50}]}}


def step(index: int, weight: int, waits: str) -> dict[str, Any]:
    """Return where a rollout of STEPS is."""
    return {
        "index": index,
        "of": 4,
        "shown": f"{index + 1}/4",
        "weight": weight,
        "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "waitingFor": waits,
    }


def rolling(cluster: Cluster, namespace: str, waits: str = "Hold", **status: Any) -> Any:
    """Create `web` in the middle of a rollout from digits-v1 to digits-v2."""
    index = 1 if waits == "Promote" else 0
    under_way = {
        "phase": "Paused" if waits in {"Promote", "Resume"} else "Progressing",
        "canary": served(2),
        "step": step(index, 25, waits),
    }
    spec = {"modelVersionName": "digits-v2", **STEPS}
    return deployed(cluster, namespace, spec, **{**under_way, **status})
