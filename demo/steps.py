"""The steps of the demo, each with its time, and what they found."""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from demo.cluster import ROOT, Cluster, StepFailed
from demo.install import TENANT, digits

TERMINAL = ("Complete", "Failed")


@dataclass(slots=True)
class Timings:
    """Seconds per step, in order."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and keep its time."""
        self.console.print(f"[bold cyan]==>[/] {len(self.seconds) + 1}. {title}", soft_wrap=True)
        started = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - started
        self.console.print(f"    [green]done[/] in {self.seconds[title]:.1f} s")


def condition(resource: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition of an object, or an empty dict."""
    conditions = resource.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def holds(resource: dict[str, Any], kind: str) -> bool:
    """Whether a condition is True for the present generation."""
    found = condition(resource, kind)
    return (
        found.get("status") == "True"
        and found.get("observedGeneration") == resource["metadata"]["generation"]
    )


def wait_for(
    look: Callable[[], dict[str, Any] | None],
    done: Callable[[dict[str, Any]], bool],
    seconds: float,
    show: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Look until `done`; raise StepFailed with the object's conditions after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            show(found)
            if done(found):
                return found
        if time.monotonic() > deadline:
            raise StepFailed(
                f"not reached within {seconds:.0f} s; last seen:\n{_conditions(found)}"
            )
        time.sleep(0.5)


def _conditions(resource: dict[str, Any] | None) -> str:
    """Return the conditions of an object as lines."""
    listed = (resource or {}).get("status", {}).get("conditions", [])
    lines = [f"  {c['type']}={c['status']} {c['reason']}: {c.get('message', '')}" for c in listed]
    return "\n".join(lines) or "  nothing"


def apply_example(cluster: Cluster, file: str) -> None:
    """Apply one of the examples in the demo's namespace."""
    cluster.apply(ROOT / "examples" / file, "--namespace", TENANT)


def watch_training(cluster: Cluster, name: str, console: Console) -> dict[str, Any]:
    """Show a training's progress until it is terminal; return the object."""
    columns = (
        TextColumn("    {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("Pending", total=100)

        told = ""

        def show(training: dict[str, Any]) -> None:
            nonlocal told
            status = training.get("status", {})
            phase = status.get("phase", "Pending")
            percent = 100 if phase == "Succeeded" else status.get("progress", {}).get("percent", 0)
            metrics = {m["name"]: m["value"] for m in status.get("metrics", [])}
            shown = " ".join(f"{k}={v}" for k, v in metrics.items() if k.endswith("accuracy"))
            bar.update(task, completed=percent, description=f"{phase:<12} {shown}")
            if not console.is_terminal and phase != told:
                told = phase  # a log has no bar that moves
                console.print(f"    {phase:<12} {shown} {percent} %", highlight=False)

        return wait_for(
            lambda: cluster.get("-n", TENANT, "mtrain", name),
            lambda t: any(holds(t, kind) for kind in TERMINAL),
            seconds=600,
            show=show,
        )


def edit(cluster: Cluster, space: str, name: str, **spec: Any) -> None:
    """Change fields of a ModelDeployment's spec."""
    patch = json.dumps({"spec": spec})
    cluster.kubectl("-n", space, "patch", "mdep", name, "--type=merge", f"--patch={patch}")


def serves(deployment: dict[str, Any], version: str) -> bool:
    """Whether a ModelDeployment serves that version, and nothing else is coming up."""
    status = deployment.get("status", {})
    named = status.get("stable", {}).get("modelVersionName") == version
    return named and not status.get("canary") and holds(deployment, "Ready")


def wait_serving(cluster: Cluster, name: str, version: str) -> dict[str, Any]:
    """Wait until a ModelDeployment serves that version."""
    return wait_for(
        lambda: cluster.get("-n", TENANT, "mdep", name),
        lambda found: serves(found, version),
        seconds=300,
    )


def one_sample() -> str:
    """Return one held-out image with its label, as Npz in base64."""
    held_out = np.load(BytesIO(digits()["eval"]))
    buffer = BytesIO()
    np.savez_compressed(buffer, image=held_out["image"][0], label=held_out["label"][0])
    return b64encode(buffer.getvalue()).decode()


def predict(cluster: Cluster, service: str, model: str, space: str = TENANT) -> dict[str, Any]:
    """Run the prediction client in a pod of a namespace; return its answers."""
    script = Path(__file__).parent / "predict.py"
    start_client(cluster, space, script, [service, model, one_sample()])
    job = wait_for(
        lambda: cluster.get("-n", space, "job", "predict"),
        lambda job: any(
            condition(job, end).get("status") == "True" for end in ("Complete", "Failed")
        ),
        seconds=120,
    )
    log = cluster.kubectl("-n", space, "logs", "job/predict")
    if condition(job, "Failed").get("status") == "True":
        raise StepFailed(f"the prediction client failed:\n{log}")
    answers: dict[str, Any] = json.loads(log.strip().splitlines()[-1])
    return answers


def start_client(cluster: Cluster, space: str, script: Path, arguments: list[str]) -> None:
    """Start a Job, named after the script, that runs it in a pod; one that exists goes first."""
    name = script.stem
    cluster.kubectl("-n", space, "delete", "job", name, "--ignore-not-found", "--wait")
    source = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": space},
        "data": {script.name: script.read_text()},
    }
    cluster.apply(json.dumps(source))
    cluster.apply(json.dumps(_client_job(space, script, arguments)))


def _client_job(space: str, script: Path, arguments: list[str]) -> dict[str, Any]:
    """Return a Job that runs a script with the trainer's image."""
    container = {
        "name": "client",
        "image": "localhost/modelyard/trainer:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/venv/bin/python", f"/client/{script.name}", *arguments],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "client", "mountPath": "/client"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "client", "configMap": {"name": script.stem}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": script.stem, "namespace": space},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
