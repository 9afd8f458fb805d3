"""The other verbs: train, logs, why, compare, predict, doctor, uninstall, and completion."""

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.cli import CommandLine, deployed, judged, ready_version, rolling, written
from tests.api.operators import ROOT, Cluster, training, until

pytestmark = pytest.mark.api

EXAMPLE = ROOT / "examples/01-training.yaml"


@pytest.fixture
def run(cluster: Cluster, namespace: str) -> CommandLine:
    """The command line as the administrator."""
    return CommandLine(cluster.server.kubeconfig, namespace)


def test_train_creates_and_watches(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    with run.started("train", "-f", str(EXAMPLE)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training/digits created\n"
        assert "Pending" in process.stdout.readline()
        progress = {"step": 5, "totalSteps": 10, "epoch": 1, "totalEpochs": 2, "percent": 50}
        progress["lastReportTime"] = "2026-01-31T12:00:00Z"
        place = ("ModelTraining", namespace, "digits")
        written(cluster, *place, phase="Running", attempt=1, progress=progress)
        assert "Running, 50 %, epoch 1/2" in process.stdout.readline()
        done = judged(Complete="True/Succeeded")
        written(cluster, *place, phase="Succeeded", modelVersionName="digits-v1", conditions=done)
        assert "Succeeded: digits-v1" in process.stdout.readline()
        assert process.wait(30) == 0


def test_train_tells_how_it_failed(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    cluster.create(training("digits", namespace))
    said = run("train", "-f", str(EXAMPLE))
    assert said.code == 7
    assert "exists already" in said.err
    assert run("train", "-f", str(EXAMPLE), "--name", "two", "--no-watch").code == 0
    assert run("train", "-f", str(EXAMPLE), "--name", "three", "--timeout", "1s").code == 4
    with run.started("train", "-f", str(EXAMPLE), "--name", "four") as process:
        until("it is there", lambda: cluster.get("ModelTraining", namespace, "four"))
        failed = judged(Failed="True/GatesFailed/gate floor: accuracy is 0.5")
        written(cluster, "ModelTraining", namespace, "four", phase="Rejected", conditions=failed)
        assert process.wait(30) == 3


def test_train_refuses_what_is_no_training(run: CommandLine, tmp_path: Path) -> None:
    assert run("train", "-f", str(tmp_path / "none.yaml")).code == 2
    assert run("train", "-f", str(ROOT / "examples/04-canary.yaml")).code == 2
    bad = yaml.safe_load(EXAMPLE.read_text())
    bad["spec"]["recipe"]["optimizer"]["learningRate"] = "0"
    said = run("train", "-f", "-", stdin=yaml.safe_dump(bad))
    assert said.code == 2
    assert "learningRate must be above 0" in said.err
    bad["spec"] = {**bad["spec"], "epochs": 3}
    assert "unknown field" in run("train", "-f", "-", stdin=yaml.safe_dump(bad)).err


def test_train_dry_run_creates_nothing(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    said = run("train", "-f", str(EXAMPLE), "--dry-run=server")
    assert (said.code, said.out) == (0, "training/digits created (server dry run)\n")
    assert cluster.list("ModelTraining", namespace) == []
    nobody = CommandLine(cluster.server.kubeconfig_for("nobody"), namespace)
    said = nobody("train", "-f", str(EXAMPLE))
    assert said.code == 6
    assert "modelyard-trainer" in said.err


def test_logs_of_a_pod_that_is_gone(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    cluster.create(training("run", namespace))
    said = run("logs", "training/run")
    assert said.code == 7
    assert "has no pod now" in said.err
    failure = {
        "category": "ApplicationError",
        "attempt": 1,
        "message": "exit code 1",
        "hint": "Read the log.",
        "logTail": "step 17\nValueError: no such column",
    }
    failed = judged(Failed="True/RetriesExhausted/It failed.")
    written(cluster, "ModelTraining", namespace, "run", failure=failure, conditions=failed)
    said = run("logs", "run")
    assert (said.code, said.out) == (0, "step 17\nValueError: no such column\n")
    assert run("logs", "training/run", "--follow").code == 0
    ready_version(cluster, 1, namespace)
    assert run("logs", "version/digits-v1").code == 2


def test_why_names_the_blocking_fact_and_the_remedy(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace, "Promote")
    said = run("why", "web")
    assert said.code == 0
    assert "a pause waits for a person" in said.out
    assert "kubectl modelyard rollout promote web" in said.out
    cluster.create(training("run", namespace))
    uid = cluster.get("ModelTraining", namespace, "run")["metadata"]["uid"]
    written(
        cluster,
        "ModelTraining",
        namespace,
        "run",
        observedGeneration=1,
        conditions=judged(Running="False/Unschedulable/Pod run-0: 0/1 nodes are available."),
    )
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "run.1", "namespace": namespace},
        "involvedObject": {"kind": "ModelTraining", "name": "run", "uid": uid}
        | {"namespace": namespace},
        "type": "Warning",
        "reason": "Unschedulable",
        "message": "nothing fits",
    }
    cluster.create(event)
    said = run("why", "run")
    assert "it waits: Unschedulable" in said.out
    assert "0/1 nodes are available" in said.out
    assert "nothing fits" in said.out


def test_compare_puts_versions_side_by_side(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    source = cluster.create(training("run-1", namespace))["metadata"]["uid"]
    ready_version(cluster, 1, namespace, seed=41)
    ready_version(cluster, 2, namespace, accuracy="0.981")
    said = run("compare", "digits-v1", "digits-v2")
    assert said.code == 0
    rows = {tuple(line.split()) for line in said.out.splitlines()}
    assert ("metric", "accuracy", "0.97", "0.981", "+0.011", "better") in rows
    assert ("log_loss", "0.12", "0.12", "=") in rows
    assert ("environment", "seed", "41", "42") in rows
    assert "libraries" not in said.out
    found = run("compare", "digits-v1", "digits-v2", "--all", "-o", "json").json
    assert {"artifact", "data", "environment", "metric"} <= {row["group"] for row in found}
    assert run("compare", "digits-v1", "digits-v9").code == 8
    assert source


class Server(BaseHTTPRequestHandler):
    """Answers one path as a model server does."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = self.path == "/v1/models/digits:predict" and body == {"instances": [[1.0]]}
        answer = {"predictions": [[0.1, 0.9]]} if good else {"error": "no such input"}
        text = json.dumps(answer).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def model_server() -> Iterator[tuple[str, int]]:
    """A server at this machine's own address: the API server does not proxy to loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing, only chooses an interface
        address = probe.getsockname()[0]
    server = ThreadingHTTPServer((address, 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield address, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def expose(cluster: Cluster, namespace: str, address: str, port: int) -> None:
    """Make the Service `web`; with an address, one pod is behind it."""
    meta = {"name": "web", "namespace": namespace}
    spec = {"ports": [{"name": "rest", "port": 8501}]}
    cluster.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    subsets = []
    if address:
        container = {"name": "server", "image": "none"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "name": "web-0"}}
        pods = f"/api/v1/namespaces/{namespace}/pods"
        cluster.call("POST", pods, {**pod, "spec": {"containers": [container]}})
        running = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        cluster.call("PATCH", f"{pods}/web-0/status", {"status": running})
        target = {"kind": "Pod", "name": "web-0", "namespace": namespace}
        ports = [{"name": "rest", "port": port}]
        subsets = [{"addresses": [{"ip": address, "targetRef": target}], "ports": ports}]
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets}
    cluster.call("POST", f"/api/v1/namespaces/{namespace}/endpoints", endpoints)


def test_predict_asks_the_public_service(
    cluster: Cluster,
    namespace: str,
    run: CommandLine,
    model_server: tuple[str, int],
    tmp_path: Path,
) -> None:
    deployed(cluster, namespace)
    assert run("predict", "web", "-d", "[[1.0]]").code == 8  # no Service yet
    expose(cluster, namespace, *model_server)
    said = run("predict", "web", "-d", "[[1.0]]")
    assert said.code == 0, said
    assert said.json == {"predictions": [[0.1, 0.9]]}
    file = tmp_path / "input.json"
    file.write_text('{"instances": [[1.0]]}')
    assert run("predict", "web", "-f", str(file)).json == {"predictions": [[0.1, 0.9]]}
    said = run("predict", "web", "-d", "[[2.0]]")
    assert said.code == 2
    assert "no such input" in said.err
    assert run("predict", "web", "-d", "{").code == 2
    assert run("predict", "web").code == 2
    assert run("predict", "web", "-d", "[]", "--version", "canary").code == 7
    nobody = CommandLine(cluster.server.kubeconfig_for("nobody"), namespace)
    assert nobody("predict", "web", "-d", "[]").code == 6


def test_predict_without_a_pod_ends_with_7(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    deployed(cluster, namespace)
    expose(cluster, namespace, "", 0)
    said = run("predict", "web", "-d", "[]")
    assert said.code == 7, said
    assert "no pod of web answers" in said.err


def test_doctor_finds_what_is_missing(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    said = run("doctor", "-o", "json")
    found = {(f["what"], f["verdict"]) for f in said.json}
    assert {("server", "ok"), ("mtrain", "ok"), ("mver", "ok"), ("mdep", "ok")} <= found
    assert ("operator", "fail") in found
    assert ("store", "warn") in found
    assert said.code == 3
    assert "helm upgrade --install modelyard" in run("doctor").out
    nobody = CommandLine(cluster.server.kubeconfig_for("nobody"), namespace)
    said = nobody("doctor")
    assert said.code == 3
    assert "you may not list modeldeployments" in said.out
    assert "ask for the role modelyard-viewer" in said.out


def test_doctor_is_content_with_an_operator_that_leads(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    labels = {"app.kubernetes.io/component": "operator", "app.kubernetes.io/name": "modelyard"}
    meta = {"name": "modelyard", "namespace": namespace, "labels": labels}
    pod = {"containers": [{"name": "operator", "image": "none"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    cluster.create(body)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/modelyard"
    try:
        said = run("doctor")
        assert f"{namespace}/modelyard: 0/1 ready" in said.out
        assert f"there is no Lease {namespace}/modelyard" in said.out
        status = {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1}
        cluster.call("PATCH", f"{path}/status", {"status": status})
        lease = {"holderIdentity": "pod-1", "leaseDurationSeconds": 15}
        lease["renewTime"] = "2999-01-01T00:00:00.000000Z"
        meta = {"name": "modelyard", "namespace": namespace}
        made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
        cluster.create({**made, "spec": lease})
        secret = {"apiVersion": "v1", "kind": "Secret"}
        secret["metadata"] = {"name": "modelyard-store-default", "namespace": namespace}
        cluster.call("POST", f"/api/v1/namespaces/{namespace}/secrets", secret)
        said = run("doctor")
        assert said.code == 0, said.out
        assert "pod-1 leads" in said.out
        assert "Secret modelyard-store-default is there" in said.out
    finally:
        cluster.call("DELETE", path)


def test_uninstall_tells_what_would_be_lost(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    deployed(cluster, namespace)
    said = run("uninstall", "--check")
    assert said.code == 7
    assert "modeldeployments: " in said.out
    assert f"1 in {namespace}" in said.out
    assert "helm uninstall" in said.out
    assert cluster.get("ModelDeployment", namespace, "web")
    assert run("uninstall").code == 2


def complete(run: CommandLine, *words: str) -> list[str]:
    """Return what the executable prints that kubectl asks."""
    program = Path(sys.executable).with_name("kubectl_complete-modelyard")
    done = subprocess.run(
        [program, *words], env=run.surroundings(), text=True, capture_output=True, check=True
    )
    return done.stdout.splitlines()


def test_names_of_objects_are_completed(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    deployed(cluster, namespace)
    ready_version(cluster, 1, namespace)
    assert complete(run, "-n", "x", "prom")[-1] == ":4"
    place = ("--namespace", namespace)
    assert complete(run, "rollout", "promote", *place, "w")[0].split("\t") == ["web", "Healthy"]
    assert "version/digits-v1\tReady" in complete(run, "get", *place, "")
    found = complete(run, "rollout", "")
    assert any(line.startswith("promote") for line in found)
    assert found[-1] == ":4"


def test_kubectl_completes_its_plugin(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    deployed(cluster, namespace)
    environment = run.surroundings()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    words = ["__complete", "modelyard", "rollout", "abort", "-n", namespace, ""]
    done = subprocess.run(
        [cluster.server.kubectl, *words],
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].split("\t")[0] == "web", done


def test_a_shell_completes_names(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    deployed(cluster, namespace)
    script = run("completion", "bash")
    assert script.code == 0
    assert run("completion", "tcsh").code == 2
    line = f"modelyard get -n {namespace} deployment/w"
    body = f"""
{script.out}
COMP_WORDS=({line}); COMP_CWORD=4; _modelyard_completion modelyard
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = run.surroundings()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", body],
        env=environment,
        text=True,
        capture_output=True,
        check=True,
    )
    assert "deployment/web" in done.stdout, shlex.join(done.args) + done.stdout + done.stderr
