"""`list`, `get`, `status`: what people see of objects, and the exit codes they script by."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.cli import (
    CommandLine,
    change,
    deployed,
    judged,
    ready_version,
    rolling,
    served,
    written,
)
from tests.api.operators import Cluster, training

pytestmark = pytest.mark.api

FAILED = judged(
    Accepted="True/SpecAccepted",
    Progressing="False/ChecksFailed/Check errors failed.",
    RolledBack="True/ChecksFailed/Check errors failed: 14 of 412 requests failed.",
    Ready="True/Available/digits-v1 answers.",
)


@pytest.fixture
def run(cluster: Cluster, namespace: str) -> CommandLine:
    """The command line as the administrator."""
    return CommandLine(cluster.server.kubeconfig, namespace)


def test_list_shows_the_three_kinds_newest_first(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    for number in (1, 2):
        ready_version(cluster, number, namespace)
    cluster.create(training("run", namespace))
    deployed(cluster, namespace)
    said = run("list")
    assert said.code == 0
    firsts = [line.split()[0] for line in said.out.splitlines() if line]
    assert firsts[0:2] == ["TRAINING", "run"]
    assert set(firsts[2:5]) == {"VERSION", "digits-v1", "digits-v2"}
    assert firsts[5:] == ["DEPLOYMENT", "web"]
    assert "✔ Healthy" in said.out
    assert "DIGEST" not in run("list", "deployments").out
    assert "DIGEST" in run("list", "mdep", "-o", "wide").out
    found = run("list", "-o", "json").json["items"]
    assert sorted(item["metadata"]["name"] for item in found) == [
        "digits-v1",
        "digits-v2",
        "run",
        "web",
    ]


def test_list_chooses_by_model_label_and_namespace(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    ready_version(cluster, 1, namespace)
    deployed(cluster, namespace)
    assert run("list", "--model", "birds").out == ""
    assert "digits-v1" in run("list", "versions", "--model", "digits").out
    assert run("list", "deployments", "--model", "digits", "-o", "name").out == (
        "modeldeployment.modelyard.dev/web\n"
    )
    assert run("list", "-l", "team=nobody").out == ""
    assert namespace in run("list", "deployments", "-A").out
    assert "digits-v1" in run("versions", "digits").out


def test_list_watches_one_kind(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    deployed(cluster, namespace)
    assert run("list", "--watch").code == 2
    with run.started("list", "deployments", "--watch") as process:
        assert process.stdout is not None
        lines = process.stdout
        assert lines.readline().startswith("NAME")
        assert "Healthy" in lines.readline()
        written(cluster, "ModelDeployment", namespace, "web", phase="Degraded")
        assert "Degraded" in lines.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_reader_that_has_had_enough_ends_it_quietly(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    deployed(cluster, namespace)
    with subprocess.Popen(
        run.words("list", "deployments", "--watch"),
        env=run.surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.readline()
        process.stdout.close()
        written(cluster, "ModelDeployment", namespace, "web", phase="Degraded")
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_get_draws_a_rollout(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    rolling(cluster, namespace)
    said = run("get", "deployment/web")
    assert said.code == 0
    assert "digits-v1 → digits-v2: step 1/4, 25 % of the traffic, waits for hold" in said.out
    assert "digits-v2  canary 25 %" in said.out
    assert "digits-v1  stable 75 %" in said.out
    assert all(line == line.rstrip() for line in said.out.splitlines())
    assert run("get", "mdep", "web", "-o", "name").out == "modeldeployment.modelyard.dev/web\n"
    raw = run("get", "web", "-o", "yaml").out
    assert "managedFields" not in raw
    assert "modelVersionName: digits-v2" in raw


def test_get_watch_prints_a_line_for_each_change(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    with run.started("get", "web", "--watch") as process:
        assert process.stdout is not None
        assert "waits for hold" in process.stdout.readline()
        written(
            cluster, "ModelDeployment", namespace, "web", canary=None, step=None, stable=served(2)
        )
        assert "digits-v2 serves, 1/1 pods ready" in process.stdout.readline()
        cluster.delete("ModelDeployment", namespace, "web")
        assert process.wait(30) == 8


def test_a_bare_name_must_be_clear(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    deployed(cluster, namespace)
    cluster.create(training("web", namespace))
    said = run("get", "web")
    assert said.code == 2
    assert "training/web" in said.err
    assert "deployment/web" in said.err
    assert run("get", "pod/web").code == 2
    assert run("get", "deployment/web", "--watch", "-o", "json").code == 2
    assert run("list", "deployments", "--watch", "-o", "yaml").code == 2
    assert run("get", "deployment/../../secrets").code == 2


def test_status_is_reached(cluster: Cluster, namespace: str, run: CommandLine) -> None:
    deployed(cluster, namespace)
    said = run("status", "web")
    assert said.code == 0
    assert "digits-v1 serves, 1/1 pods ready" in said.out


def test_status_waits_until_it_is_reached(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    with run.started("status", "web", "--timeout", "60s") as process:
        assert process.stdout is not None
        assert "step 1/4" in process.stdout.readline()
        written(
            cluster, "ModelDeployment", namespace, "web", canary=None, step=None, stable=served(2)
        )
        assert process.wait(30) == 0


def test_status_ends_with_3_after_a_rollback(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    spec = {"modelVersionName": "digits-v2"}
    history = [change(2, "RolledBack", 2, 1)]
    blocked = {"blockedVersion": "digits-v2/f6e7d8c9b0", "conditions": FAILED, "history": history}
    deployed(cluster, namespace, spec, phase="Degraded", **blocked)
    said = run("status", "web")
    assert said.code == 3
    assert "error: ChecksFailed: Check errors failed: 14 of 412" in said.err
    assert "hint:  kubectl modelyard why deployment/web" in said.err


@pytest.mark.parametrize(("conditions", "code"), [("Failed", 3), ("Complete", 0)])
def test_status_of_a_training_ends_with_it(
    cluster: Cluster, namespace: str, run: CommandLine, conditions: str, code: int
) -> None:
    cluster.create(training("run", namespace))
    ended = judged(**{conditions: "True/GatesFailed/gate floor: accuracy is 0.5"})
    written(cluster, "ModelTraining", namespace, "run", conditions=ended)
    assert run("status", "training/run").code == code


def test_status_ends_with_4_when_the_time_is_up(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    said = run("status", "web", "--timeout", "1s")
    assert said.code == 4
    assert "not reached in time" in said.err


@pytest.mark.parametrize("waits", ["Promote", "Resume"])
def test_status_ends_with_5_when_only_a_person_can_go_on(
    cluster: Cluster, namespace: str, run: CommandLine, waits: str
) -> None:
    rolling(cluster, namespace, waits)
    said = run("status", "web")
    assert said.code == 5
    assert f"kubectl modelyard rollout {waits.lower()} web" in said.err
    assert run("status", "web", "--through-pauses", "--timeout", "1s").code == 4


def test_a_watch_outlives_a_restart_of_the_api_server(
    cluster: Cluster, namespace: str, run: CommandLine
) -> None:
    rolling(cluster, namespace)
    with run.started("status", "web", "--timeout", "120s") as process:
        assert process.stdout is not None
        assert "step 1/4" in process.stdout.readline()
        cluster.server.kill_apiserver()
        cluster.server.start_apiserver()
        done = {"canary": None, "step": None, "stable": served(2)}
        written(cluster, "ModelDeployment", namespace, "web", **done)
        assert process.wait(60) == 0


def test_who_may_not_look_is_told_so(cluster: Cluster, namespace: str) -> None:
    deployed(cluster, namespace)
    nobody = CommandLine(cluster.server.kubeconfig_for("nobody"), namespace)
    for words in (("list",), ("get", "deployment/web"), ("status", "deployment/web")):
        said = nobody(*words)
        assert said.code == 6, said
        assert 'User "nobody" cannot' in said.err
        assert "hint:" in said.err
    impersonated = CommandLine(cluster.server.kubeconfig, namespace)
    assert impersonated("list", "--as", "nobody").code == 6


def test_what_is_not_there_ends_with_8(run: CommandLine) -> None:
    assert run("get", "deployment/web").code == 8
    assert run("status", "training/run").code == 8


def test_an_unreachable_server_ends_with_1(run: CommandLine, tmp_path: Path) -> None:
    text = run.kubeconfig.read_text()
    gone = tmp_path / "gone.kubeconfig"
    gone.write_text(text.replace(text.split("server: ")[1].split("\n")[0], "https://127.0.0.1:9"))
    said = run("list", "--kubeconfig", str(gone))
    assert said.code == 1
    assert "does not answer" in said.err
    said = run("list", "--kubeconfig", str(tmp_path / "none"))
    assert said.code == 1
    assert "there is no way to an API server" in said.err


def test_kubectl_runs_it_as_a_plugin(cluster: Cluster, run: CommandLine) -> None:
    environment = run.surroundings()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [cluster.server.kubectl, "modelyard", "version"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "modelyard.dev/v1alpha1" in done.stdout
