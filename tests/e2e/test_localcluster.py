"""Two local clusters side by side: real nodes, apart from each other, gone without a trace."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.cluster import Cluster
from localcluster import images, node, status
from localcluster.cluster import NativeCluster, load_archive
from localcluster.commands import run
from localcluster.folders import REPOSITORY
from tests.e2e.probe import LOOKUP, NAMESPACE, SERVER, Probe

pytestmark = pytest.mark.e2e
ONE, TWO = "pair-one", "pair-two"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[NativeCluster, NativeCluster]]:
    """Two running clusters with the base image and a namespace under Pod Security."""
    clusters = NativeCluster(ONE), NativeCluster(TWO)
    try:
        for cluster in clusters:
            cluster.up()
        base = images.build("base")
        load_archive(clusters[0], base)
        clusters[0].fake_gpus(2)
        Probe(clusters[0]).make_namespace()
        yield clusters
    finally:
        for cluster in clusters:
            cluster.down()


def test_a_pod_with_a_gpu_runs_under_pod_security_and_finds_names(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    cluster, probe = pair[0], Probe(pair[0])
    probe.apply(probe.pod("gpu", ["python3", "-c", LOOKUP], gpus=1))
    probe.until(lambda: probe.phase("gpu"), "Succeeded")
    assert probe.log("gpu").strip() == str(cluster.layout().addresses.api_service)


def test_more_gpus_than_claimed_wait(pair: tuple[NativeCluster, NativeCluster]) -> None:
    cluster, probe = pair[0], Probe(pair[0])
    probe.apply(probe.pod("greedy", SERVER, gpus=3))
    reason = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}'
    get = ("get", "pod", "-n", NAMESPACE, "greedy", "-o", reason)
    probe.until(lambda: cluster.kubectl(*get), "Unschedulable")
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, "greedy")


def test_a_service_is_reached_from_pod_node_and_machine(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    cluster, probe = pair[0], Probe(pair[0])
    probe.apply(probe.pod("web", SERVER))
    probe.apply(probe.service("web"))
    url = f"http://web.{NAMESPACE}.svc.cluster.local/"
    fetch = f"import urllib.request as u; print(u.urlopen('{url}', timeout=5).status)"
    probe.ready("web")
    probe.apply(probe.pod("client", ["python3", "-c", fetch]))
    probe.until(lambda: probe.phase("client"), "Succeeded")
    assert probe.log("client").endswith("200\n")
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


def test_a_cluster_of_others_is_adopted_and_left_alone(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    """The provider `current`, with this very cluster in the role of the user's own."""
    exports = status.exports(ONE)
    path = exports["PATH"].replace("$PATH", os.environ["PATH"])
    env = {**os.environ, "KUBECONFIG": exports["KUBECONFIG"], "PATH": path}
    python = f"{sys.executable} -m localcluster"
    importing = f"{python} exec --name {ONE} -- ctr --namespace=k8s.io images import {{archive}}"

    def ours(*arguments: str) -> str:
        return run(*python.split(), *arguments, "--name", "adopted", env=env, cwd=REPOSITORY)

    printed = ours("up", "--provider", "current", "--load-command", importing)
    found = re.search('export KUBECONFIG="([^"]+)"', printed)
    assert found
    kept = Path(found.group(1))
    assert kept.stat().st_mode & 0o077 == 0
    assert "ok" in run("kubectl", f"--kubeconfig={kept}", "get", "--raw=/readyz", env=env)
    listing = pair[0].inside("ctr", "--namespace=k8s.io", "images", "list", "-q")
    assert images.reference("seaweedfs") not in run(*listing).split()
    ours("load", "seaweedfs")
    assert images.reference("seaweedfs") in run(*listing).split()
    assert str(kept) in ours("status")
    ours("down")
    assert not kept.exists()
    assert pair[0].kubectl("get", "--raw=/readyz") == "ok"


def test_exec_enters_a_container(pair: tuple[NativeCluster, NativeCluster]) -> None:
    say = ("python3", "-c", "print(6 * 7)")
    assert pair[0].kubectl("exec", "-n", NAMESPACE, "web", "--", *say) == "42\n"


def test_an_image_is_loaded_once(pair: tuple[NativeCluster, NativeCluster]) -> None:
    assert load_archive(pair[0], images.build("base")) is False


def test_a_pod_cannot_reach_the_machine_or_beyond(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    probe = Probe(pair[0])
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
        probe.apply(probe.pod("escape", ["python3", "-c", try_both]))
        probe.until(lambda: probe.phase("escape"), "Succeeded")
    assert probe.log("escape").split() == ["ConnectionRefusedError", "OSError"]


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
    cluster, probe = pair[0], Probe(pair[0])
    os.kill(node.first_process(cluster.names), signal.SIGKILL)
    probe.until(cluster.running, False)
    cluster.up()
    ready = 'jsonpath={.status.containerStatuses[0].ready}{" "}{.status.phase}'
    get = ("get", "pod", "-n", NAMESPACE, "web", "-o", ready)
    probe.until(lambda: cluster.kubectl(*get), "true Running")
    gpus = "jsonpath={.status.allocatable.nvidia\\.com/gpu}"
    probe.until(lambda: cluster.kubectl("get", "node", ONE, "-o", gpus), "2")


def test_down_leaves_nothing(pair: tuple[NativeCluster, NativeCluster]) -> None:
    one, two = pair
    one.down()
    assert one.leftovers() == []
    assert _traces(one) == []
    assert two.running()
    assert two.kubectl("get", "--raw=/readyz") == "ok"


def test_down_leaves_nothing_of_a_cluster_that_was_killed(
    pair: tuple[NativeCluster, NativeCluster],
) -> None:
    two = pair[1]
    os.kill(node.first_process(two.names), signal.SIGKILL)
    (two.root / "cluster.json").write_text("")  # as if killed while it was written
    Probe(two).until(two.running, False)
    assert _traces(two)
    two.down()
    assert two.leftovers() == []
    assert _traces(two) == []


def _traces(cluster: NativeCluster) -> list[str]:
    """Look for a cluster in the machine's own lists, not through its code."""
    name, link = cluster.names.cluster, cluster.names.link
    lists = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in (["ip", "netns", "list"], ["ip", "-brief", "link"], ["ps", "-eo", "args"])
    ]
    lists.append(Path("/proc/mounts").read_text())
    lines = [line for text in lists for line in text.splitlines() if name in line or link in line]
    return lines + [str(group) for group in Path("/sys/fs/cgroup").glob(f"**/*{name}*")]
