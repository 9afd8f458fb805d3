"""Two local clusters side by side: real nodes, apart from each other, gone without a trace."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.cluster import Cluster
from localcluster import images, network, status
from localcluster.cluster import NativeCluster, load_archive
from localcluster.commands import run

pytestmark = pytest.mark.e2e
ONE, TWO = "pair-one", "pair-two"
NAMESPACE = "probe"
SECONDS = 60.0
SERVER = ["python3", "-m", "http.server", "8080"]
LOOKUP = "import socket; print(socket.gethostbyname('kubernetes.default'))"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[NativeCluster, NativeCluster]]:
    """Two running clusters with the base image and a namespace under Pod Security."""
    if os.geteuid() != 0:
        pytest.skip("the local cluster needs root: run as root, or use `make test-fast`")
    clusters = NativeCluster(ONE), NativeCluster(TWO)
    try:
        for cluster in clusters:
            cluster.up()
        base = images.build("base")
        load_archive(clusters[0], base)
        clusters[0].fake_gpus(2)
        _make_namespace(clusters[0])
        yield clusters
    finally:
        for cluster in clusters:
            cluster.down()


def _make_namespace(cluster: NativeCluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    _apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    accounts = ("get", "serviceaccount", "default", "-n", NAMESPACE, "--ignore-not-found")
    _until(lambda: bool(cluster.kubectl(*accounts)), True)


def _apply(cluster: NativeCluster, manifest: dict[str, Any]) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


def _pod(name: str, command: list[str], gpus: int = 0) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": images.BASE,
        "command": command,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
    security = {"runAsNonRoot": True, "runAsUser": 65532}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {**security, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def _service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def _phase(cluster: NativeCluster, name: str) -> str:
    return cluster.kubectl("get", "pod", "-n", NAMESPACE, name, "-o", "jsonpath={.status.phase}")


def _log(cluster: NativeCluster, name: str) -> str:
    return cluster.kubectl("logs", "-n", NAMESPACE, name)


def _until(found: Callable[[], Any], expected: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while (seen := found()) != expected:
        assert time.monotonic() < deadline, f"expected {expected!r}, found {seen!r}"


def test_a_pod_with_a_gpu_runs_under_pod_security_and_finds_names(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    cluster = pair[0]
    _apply(cluster, _pod("gpu", ["python3", "-c", LOOKUP], gpus=1))
    _until(lambda: _phase(cluster, "gpu"), "Succeeded")
    assert _log(cluster, "gpu").strip() == str(cluster.layout().addresses.api_service)


def test_more_gpus_than_claimed_wait(pair: tuple[NativeCluster, NativeCluster]) -> None:
    cluster = pair[0]
    _apply(cluster, _pod("greedy", SERVER, gpus=3))
    reason = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}'
    get = ("get", "pod", "-n", NAMESPACE, "greedy", "-o", reason)
    _until(lambda: cluster.kubectl(*get), "Unschedulable")
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, "greedy")


def test_a_service_is_reached_from_pod_node_and_machine(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    cluster = pair[0]
    _apply(cluster, _pod("web", SERVER))
    _apply(cluster, _service("web"))
    url = f"http://web.{NAMESPACE}.svc.cluster.local/"
    fetch = f"import urllib.request as u; print(u.urlopen('{url}', timeout=5).status)"
    cluster.kubectl("wait", "-n", NAMESPACE, "pod/web", "--for=condition=Ready", "--timeout=60s")
    _apply(cluster, _pod("client", ["python3", "-c", fetch]))
    _until(lambda: _phase(cluster, "client"), "Succeeded")
    assert _log(cluster, "client").endswith("200\n")
    assert run(*cluster.inside("python3", "-c", fetch)) == "200\n"
    with (
        _kubectl_of(cluster).port_forward(NAMESPACE, "pod/web", 8080) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer,
    ):
        assert answer.status == 200


def _kubectl_of(cluster: NativeCluster) -> Cluster:
    exports = status.exports(cluster.names.cluster)
    path = exports["PATH"].replace("$PATH", os.environ["PATH"])
    return Cluster(cluster.names.cluster, {**os.environ, **exports, "PATH": path})


def test_exec_enters_a_container(pair: tuple[NativeCluster, NativeCluster]) -> None:
    say = ("python3", "-c", "print(6 * 7)")
    assert pair[0].kubectl("exec", "-n", NAMESPACE, "web", "--", *say) == "42\n"


def test_an_image_is_loaded_once(pair: tuple[NativeCluster, NativeCluster]) -> None:
    assert load_archive(pair[0], images.build("base")) is False


def test_a_pod_cannot_reach_the_machine_or_beyond(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    # The node refuses at once. Let through, the machine's answer would be lost: a timeout.
    host = str(pair[0].layout().addresses.host)
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        try_both = (
            "import socket\n"
            f"for host in ('{host}', '192.0.2.1'):\n"
            f"    try: socket.create_connection((host, {port}), 3); print('reached', host)\n"
            "    except OSError as error: print(type(error).__name__)\n"
        )
        _apply(pair[0], _pod("escape", ["python3", "-c", try_both]))
        _until(lambda: _phase(pair[0], "escape"), "Succeeded")
    assert _log(pair[0], "escape").split() == ["ConnectionRefusedError", "OSError"]


def test_clusters_side_by_side_share_nothing(pair: tuple[NativeCluster, NativeCluster]) -> None:
    one, two = (cluster.layout() for cluster in pair)
    assert not one.addresses.pods.overlaps(two.addresses.pods)
    assert not one.addresses.services.overlaps(two.addresses.services)
    assert one.server != two.server
    assert pair[1].kubectl("get", "namespace", NAMESPACE, "--ignore-not-found") == ""


def test_up_again_finds_the_running_cluster(pair: tuple[NativeCluster, NativeCluster]) -> None:
    before = pair[0].process_ids()
    pair[0].up()
    assert pair[0].process_ids() == before


def test_a_killed_node_goes_on_where_it_was(pair: tuple[NativeCluster, NativeCluster]) -> None:
    cluster = pair[0]
    os.kill(cluster.first_process(), signal.SIGKILL)
    _until(cluster.running, False)
    cluster.up()
    ready = 'jsonpath={.status.containerStatuses[0].ready}{" "}{.status.phase}'
    get = ("get", "pod", "-n", NAMESPACE, "web", "-o", ready)
    _until(lambda: cluster.kubectl(*get), "true Running")
    gpus = "jsonpath={.status.allocatable.nvidia\\.com/gpu}"
    _until(lambda: cluster.kubectl("get", "node", ONE, "-o", gpus), "2")


def test_down_leaves_nothing(pair: tuple[NativeCluster, NativeCluster]) -> None:
    one, two = pair
    one.down()
    assert one.leftovers() == []
    assert _traces(ONE) == []
    assert two.running()
    assert two.kubectl("get", "--raw=/readyz") == "ok"
    assert not network.link_exists(one.names)


def _traces(name: str) -> list[str]:
    """Look for a cluster in the machine's own lists, not through its code."""
    lists = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in (["ip", "netns", "list"], ["ip", "-brief", "link"], ["ps", "-eo", "args"])
    ]
    lists.append(Path("/proc/mounts").read_text())
    lines = [line for text in lists for line in text.splitlines() if name in line]
    return lines + [str(group) for group in Path("/sys/fs/cgroup").glob(f"**/*{name}*")]
