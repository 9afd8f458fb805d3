"""The API server for tests is real, is fast to start again, and leaves nothing."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import envtest
from localcluster.envtest import EnvTest

pytestmark = pytest.mark.api
SECONDS = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[EnvTest]:
    with EnvTest(controller_manager=True) as running:
        yield running


def _kubectl(server: EnvTest, *arguments: str, kubeconfig: Path | None = None) -> str:
    config = kubeconfig or server.kubeconfig
    command = [str(server.kubectl), f"--kubeconfig={config}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _until(found: Any, expected: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while found() != expected:
        assert time.monotonic() < deadline, f"expected {expected!r}, found {found()!r}"


def test_it_is_the_pinned_kubernetes(server: EnvTest) -> None:
    version = json.loads(_kubectl(server, "get", "--raw=/version"))
    assert version["gitVersion"] == envtest.kubernetes().version("k8s.io/kubernetes")


def test_admission_policies_are_served_as_v1(server: EnvTest) -> None:
    served = _kubectl(server, "api-resources", "--api-group=admissionregistration.k8s.io")
    for kind in ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"):
        assert any(
            line.split()[1:] == ["admissionregistration.k8s.io/v1", "false", kind]
            for line in served.splitlines()
        )


def test_objects_survive_a_restart_at_the_same_address(server: EnvTest) -> None:
    url = server.url
    _kubectl(server, "create", "configmap", "kept")
    server.restart_apiserver()
    assert server.url == url
    assert "kept" in _kubectl(server, "get", "configmaps", "-o", "name")


def test_objects_survive_a_kill(server: EnvTest) -> None:
    _kubectl(server, "create", "configmap", "durable")
    server.kill_apiserver()
    assert "refused" in _kubectl(server, "get", "configmaps")
    server.start_apiserver()
    assert "durable" in _kubectl(server, "get", "configmaps", "-o", "name")


def test_rights_are_those_of_the_user_and_groups(server: EnvTest) -> None:
    nobody = server.kubeconfig_for("jane", "readers")
    assert "forbidden" in _kubectl(server, "get", "secrets", kubeconfig=nobody)
    grant = ("create", "clusterrolebinding", "readers", "--clusterrole=view", "--group=readers")
    _kubectl(server, *grant)
    _until(lambda: _kubectl(server, "auth", "can-i", "get", "pods", kubeconfig=nobody), "yes\n")


def test_a_service_account_is_who_its_token_would_say(server: EnvTest) -> None:
    config = server.kubeconfig_for_service_account("team", "bot")
    found = json.loads(_kubectl(server, "auth", "whoami", "-o", "json", kubeconfig=config))
    user = found["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:team:bot"
    assert "system:serviceaccounts:team" in user["groups"]


def test_the_controller_manager_collects_garbage(server: EnvTest) -> None:
    _kubectl(server, "create", "deployment", "d", "--image=none", "--replicas=0")
    sets = ("get", "replicasets", "-l", "app=d", "-o", "name")
    _until(lambda: _kubectl(server, *sets).startswith("replicaset.apps/d-"), True)
    _kubectl(server, "delete", "deployment", "d")
    _until(lambda: _kubectl(server, *sets), "")


def test_pods_pass_without_a_controller_manager() -> None:
    with EnvTest() as server:
        assert "pod/p created" in _kubectl(server, "run", "p", "--image=none")
        folder = server.folder
    assert not folder.exists()


def test_nothing_outlives_a_killed_parent() -> None:
    script = "from localcluster.envtest import EnvTest\nimport os, signal\n"
    script += "e = EnvTest()\nprint(e.folder, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    folder = done.stdout.splitlines()[-1]
    _until(lambda: _processes_naming(folder), [])
    subprocess.run(["rm", "-r", folder], check=True)


def _processes_naming(text: str) -> list[str]:
    found = []
    for entry in os.scandir("/proc"):
        try:
            words = Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in words:
            found.append(words)
    return found


def test_assets_of_another_version_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "etcd": "",
        "kubectl": "",
        "kube-apiserver": "echo Kubernetes v1.2.3",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert envtest.programs(controller_manager=False) != tmp_path


def test_fitting_assets_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    built = envtest.programs(controller_manager=False)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(built))
    assert envtest.programs(controller_manager=False) == built
