"""Golden screens: commands in a real terminal, compared with what a person should see there."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.api import names
from tests.api.cli import (
    NEXT,
    SERVED,
    CommandLine,
    change,
    deployed,
    judged,
    ready_version,
    served,
    step,
    written,
)
from tests.api.operators import Cluster, training
from tests.api.terminal import COLOUR, compare, opened

pytestmark = pytest.mark.api

CONTAINER = {"name": "main", "image": "none"}
CHECKS = [
    {"name": "errors", "errorRate": {"max": "0.02"}},
    {"name": "latency", "latency": {"maxSlowdown": "1.15"}},
]
ROLLOUT = {
    "steps": [{"weight": 25, "holdSeconds": 60}, {"pause": {}}, {"weight": 50}],
    "analysis": {"checks": CHECKS},
}
PASSED = {
    "name": "errors",
    "verdict": "Pass",
    "value": "0.0012",
    "bound": "0.02",
    "samples": 412,
    "needed": 300,
    "message": "1 of 412 requests failed, 2 of 1236 on stable",
}
OPEN = {
    "name": "latency",
    "verdict": "NeedMoreData",
    "value": "1.02",
    "bound": "1.15",
    "samples": 212,
    "needed": 300,
    "etaSeconds": 40,
    "message": "1.02 times as slow as stable",
}
BAD = {**PASSED, "verdict": "Fail", "value": "0.034", "message": "14 of 412 requests failed"}
FAILED = judged(
    Accepted="True/SpecAccepted",
    RolledBack="True/ChecksFailed/Check errors failed: 14 of 412 requests failed.",
    Ready="True/Available/digits-v1 answers.",
)


@pytest.fixture
def run(cluster: Cluster, namespace: str) -> CommandLine:
    """The command line as the administrator, and two versions."""
    ready_version(cluster, 1, namespace)
    ready_version(cluster, 2, namespace, accuracy="0.981", seed=43)
    return CommandLine(cluster.server.kubeconfig, namespace)


def rolling(cluster: Cluster, namespace: str) -> None:
    """Create `web` in the middle of a judged rollout, with its children."""
    made = deployed(
        cluster,
        namespace,
        {"modelVersionName": "digits-v2", "replicas": 3, "rollout": ROLLOUT},
        phase="Progressing",
        canary=served(2),
        stable=served(1, readyReplicas=3),
        step=step(0, 25, "Checks"),
        analysis=[PASSED, OPEN],
    )
    labels = {names.LABEL_OWNER_UID: made["metadata"]["uid"]}
    for revision, count in ((SERVED, 3), (NEXT, 1)):
        own = {**labels, names.LABEL_VERSION: revision}
        workload(cluster, namespace, f"web-{revision}", own, count)
        for number in range(count):
            pod(cluster, namespace, f"web-{revision}-{number}", own)
    ports = [{"name": "grpc", "port": 8500}, {"name": "rest", "port": 8501}]
    service = {"ports": ports, "selector": {names.LABEL_DEPLOYMENT: "web"}}
    meta = {"name": "web", "namespace": namespace, "labels": labels}
    cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service})


def workload(
    cluster: Cluster, namespace: str, name: str, labels: dict[str, str], count: int
) -> None:
    """Create a Deployment that has its pods."""
    template = {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER]}}
    spec = {"replicas": count, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    cluster.create(made)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status"
    cluster.call("PATCH", path, {"status": {"replicas": count, "readyReplicas": count}})


def pod(cluster: Cluster, namespace: str, name: str, labels: dict[str, str], **status: Any) -> None:
    """Create a pod that runs, or is as `status` says."""
    spec = {"containers": [CONTAINER], "nodeName": "node-1"}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    path = f"/api/v1/namespaces/{namespace}/pods"
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    cluster.call("POST", path, made)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.call("PATCH", f"{path}/{name}/status", {"status": {**ready, **status}})


def training_under_way(cluster: Cluster, namespace: str) -> None:
    """Create `run`, a training at 58 %."""
    made = cluster.create(training("run", namespace))
    progress = {"step": 58, "totalSteps": 100, "epoch": 6, "totalEpochs": 10, "percent": 58}
    progress |= {"estimatedRemainingSeconds": 21, "examplesPerSecond": "612.4"}
    written(
        cluster,
        "ModelTraining",
        namespace,
        "run",
        phase="Running",
        observedGeneration=1,
        attempt=2,
        retries=1,
        progress={**progress, "lastReportTime": "2026-01-31T12:00:00Z"},
        primaryMetric="val_accuracy=0.931",
        metrics=[
            {"name": "loss", "value": "0.2143"},
            {"name": "val_accuracy", "value": "0.931", "best": "0.94"},
        ],
        conditions=judged(Accepted="True/SpecAccepted", Running="True/Training"),
    )
    labels = {names.LABEL_OWNER_UID: made["metadata"]["uid"]}
    for attempt in ("1", "2"):
        own = {**labels, names.LABEL_ATTEMPT: attempt}
        meta = {"name": f"run-a{attempt}", "namespace": namespace, "labels": own}
        template = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta}
        cluster.create({**job, "spec": {"template": template}})
    pod(cluster, namespace, "run-a2-0", {**labels, names.LABEL_ATTEMPT: "2"})


def test_the_list(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    rolling(cluster, namespace)
    training_under_way(cluster, namespace)
    with opened(run, "list", size=(120, 24)) as terminal:
        terminal.wait("exit 0")
        coloured = terminal.screen(colours=True)
        compare("list", terminal.screen(), namespace)
    assert "\x1b[36m◐ Progressing" in coloured
    assert "\x1b[32m✔ Ready" in coloured
    plain = CommandLine(run.kubeconfig, namespace, {"NO_COLOR": "1"})
    with opened(plain, "list") as terminal:
        terminal.wait("exit 0")
        assert not COLOUR.search(terminal.screen(colours=True))


def test_a_rollout_is_drawn_anew_at_each_change(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    with opened(run, "get", "web", "--watch") as terminal:
        terminal.wait("NeedMoreData")
        compare("rollout-1-judged", terminal.screen(), namespace)
        waiting = {**step(1, 25, "Promote"), "heldSince": "2026-01-31T12:00:00Z"}
        passed = {**OPEN, "verdict": "Pass", "samples": 312}
        passed.pop("etaSeconds")
        changed = {"step": waiting, "analysis": [PASSED, passed], "phase": "Paused"}
        written(cluster, "ModelDeployment", namespace, "web", **changed)
        compare("rollout-2-paused", terminal.wait("waits for somebody"), namespace)
        done = {"canary": None, "step": None, "stable": served(2, readyReplicas=3)}
        until = datetime.now(UTC).replace(year=2999).strftime("%Y-%m-%dT%H:%M:%SZ")
        warm = {"version": served(1, readyReplicas=3), "until": until}
        history = [change(2, "Promoted", 2, 1, by="ana", reason="looks good")]
        after = {"phase": "Healthy", "readyReplicas": 3, "ready": "3/3", "warm": warm}
        written(cluster, "ModelDeployment", namespace, "web", **done, **after, history=history)
        compare("rollout-3-promoted", terminal.wait("looks good"), namespace)
        terminal.press("C-c")
        terminal.wait("exit 130")


def test_a_rollback_explained(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    history = [
        change(2, "RolledBack", 2, 1, reason="Check errors failed."),
        change(1, "Deployed", 1, None),
    ]
    deployed(
        cluster,
        namespace,
        {"modelVersionName": "digits-v2", "rollout": ROLLOUT},
        phase="Degraded",
        blockedVersion=f"digits-v2/{NEXT}",
        conditions=FAILED,
        analysis=[BAD],
        history=history,
    )
    for name, words, code in (
        ("rollback-get", ("get", "web"), 0),
        ("rollback-why", ("why", "web"), 0),
        ("rollback-status", ("rollout", "status", "web"), 3),
        ("rollback-history", ("rollout", "history", "web"), 0),
        ("rollback-compare", ("compare", "digits-v1", "digits-v2"), 0),
    ):
        with opened(run, *words) as terminal:
            compare(name, terminal.wait(f"exit {code}"), namespace)


def test_a_training_on_a_narrow_terminal(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    training_under_way(cluster, namespace)
    with opened(run, "get", "run", "--watch", size=(80, 16)) as terminal:
        compare("training", terminal.wait("run-a2-0"), namespace)


def test_help_fits_a_terminal(run: CommandLine, namespace: str) -> None:
    for name, words in (("help", ("--help",)), ("help-rollout", ("rollout", "--help"))):
        with opened(run, *words, size=(80, 60)) as terminal:
            compare(name, terminal.wait("exit 0"), namespace)
