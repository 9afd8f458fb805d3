"""A cluster with two nodes: pods of one reach those of the other; one may die."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import images, node
from localcluster.cluster import NativeCluster, load_archive
from localcluster.commands import run
from tests.e2e.probe import LOOKUP, SERVER, Probe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NAME = "double"
FIRST, SECOND = "double", "double-2"


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """A running cluster of two nodes with the base image, and a web server on each."""
    cluster = NativeCluster(NAME)
    try:
        cluster.up(nodes=2)
        load_archive(cluster, images.build("base"))
        found = Probe(cluster)
        found.make_namespace()
        for name in (FIRST, SECOND):
            found.apply(_on(name, found.pod(f"web-{name}", SERVER)))
            found.apply(found.service(f"web-{name}"))
            found.ready(f"web-{name}")
        yield found
    finally:
        cluster.down()


def _on(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    pod["spec"]["nodeSelector"] = {"kubernetes.io/hostname": name}
    return pod


def test_both_nodes_are_ready_and_told_apart(probe: Probe) -> None:
    kubectl = probe.cluster.kubectl
    listed = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    workers = {
        n["metadata"]["name"]: n["metadata"]["labels"].get("localcluster/worker") for n in listed
    }
    assert workers == {FIRST: None, SECOND: "true"}
    addresses = {n["status"]["addresses"][0]["address"] for n in listed}
    assert len(addresses) == 2


@pytest.mark.parametrize(("client", "server"), [(FIRST, SECOND), (SECOND, FIRST), (SECOND, SECOND)])
def test_pods_reach_services_and_names_across_nodes(probe: Probe, client: str, server: str) -> None:
    fetch = f"import urllib.request as u; print(u.urlopen('http://web-{server}', timeout=5).status)"
    name = f"from-{client}-to-{server}"
    probe.apply(_on(client, probe.pod(name, ["python3", "-c", fetch])))
    probe.until(lambda: probe.phase(name), "Succeeded")
    assert probe.log(name).strip() == "200"


def test_pods_of_the_second_node_reach_the_api_and_not_the_machine(probe: Probe) -> None:
    addresses = probe.cluster.layout().addresses
    script = (
        "import socket\n"
        f"for host, port in (('{addresses.api_service}', 443), ('{addresses.host}', 22)):\n"
        "    try: socket.create_connection((host, port), 3); print('reached')\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    probe.apply(_on(SECOND, probe.pod("escape", ["python3", "-c", script])))
    probe.until(lambda: probe.phase("escape"), "Succeeded")
    assert probe.log("escape").split() == ["reached", "ConnectionRefusedError"]


def test_logs_exec_and_names_work_on_the_second_node(probe: Probe) -> None:
    probe.apply(_on(SECOND, probe.pod("lookup", ["python3", "-c", LOOKUP])))
    probe.until(lambda: probe.phase("lookup"), "Succeeded")
    assert probe.log("lookup").strip() == str(probe.cluster.layout().addresses.api_service)
    assert run(*probe.cluster.inside("cat", "/proc/1/comm", number=2)).startswith("python")
    say = ("python3", "-c", "print(6 * 7)")
    assert probe.kubectl("exec", f"web-{SECOND}", "--", *say) == "42\n"


def test_the_second_node_claims_gpus_of_its_own(probe: Probe) -> None:
    probe.cluster.fake_gpus(2, number=2)
    claims = "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}"
    assert probe.cluster.kubectl("get", "nodes", "-o", claims) == "2"


def test_a_lost_second_node_comes_back_alone(probe: Probe) -> None:
    cluster = probe.cluster
    before = node.first_process(cluster.names)
    second = cluster.layout(2).names
    os.kill(node.first_process(second), signal.SIGKILL)
    ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    get = ("get", "node", SECOND, "-o", ready)
    # The control plane gives a silent node 50 seconds.
    probe.until(lambda: cluster.kubectl(*get), "Unknown", seconds=120)
    cluster.up()
    probe.until(lambda: cluster.kubectl(*get), "True")
    probe.ready(f"web-{SECOND}")
    assert node.first_process(cluster.names) == before


def test_down_leaves_nothing_of_either_node(probe: Probe) -> None:
    cluster = probe.cluster
    root = cluster.root
    cluster.down()
    assert cluster.leftovers() == []
    assert not root.exists()
    mounts = Path("/proc/mounts").read_text()
    namespaces = run("ip", "netns", "list")
    groups = [str(group) for group in Path("/sys/fs/cgroup").glob("**/*modelyard-double*")]
    assert "modelyard-double" not in mounts + namespaces + " ".join(groups)
