"""Start, find and end a native cluster: nodes in namespaces of their own."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from localcluster import images, network, node, prerequisites, readiness, settings
from localcluster.binaries import Builder, Progress, kubernetes, runtime
from localcluster.commands import attempt, run
from localcluster.errors import Refused
from localcluster.folders import cluster_folder, locked
from localcluster.layout import Layout, Programs
from localcluster.naming import MAX_NODES, Addresses, Names, check_name
from localcluster.state import ClusterState, free_addresses, read_state

GPU = "nvidia.com/gpu"
API_SECONDS = 120.0
NODE_SECONDS = 90.0
DNS_SECONDS = 60.0
GPU_SECONDS = 60.0


class NativeCluster:
    """A cluster of this machine.

    Args:
        name: the cluster's name.
        progress: called with one line at a time.
    """

    def __init__(self, name: str, progress: Progress = print) -> None:
        self.names = Names(check_name(name))
        self.root = cluster_folder(name)
        self._progress = progress

    def up(self, nodes: int = 1) -> Layout:
        """Start what does not run of the cluster, with at least so many nodes.

        A cluster that was interrupted, by a crash or a restart of the machine, goes on with its
        nodes, objects and images.

        Returns:
            The layout of the first node.

        Raises:
            Refused: a right or a program is missing, or something did not become ready.
        """
        prerequisites.check_rights()
        prerequisites.check_state_folder(self.root)
        with locked(f"cluster-{self.names.cluster}"):
            if not self.running():
                prerequisites.install(prerequisites.NODE_PROGRAMS, self._progress)
                prerequisites.check_bridge_filter()
                self._end()
                self._start(self._remembered_layout())
            self._remember(nodes)
            for number in self.numbers()[1:]:
                self._join(self.layout(number))
            return self.layout()

    def down(self) -> None:
        """End the cluster and remove everything it left, except the build cache."""
        prerequisites.check_rights()
        with locked(f"cluster-{self.names.cluster}"):
            self._end()
            if self.root.exists():
                shutil.rmtree(self.root)

    def running(self) -> bool:
        """Say whether the first node's processes live and it once became ready."""
        return node.running(self.names, self.root)

    def numbers(self) -> list[int]:
        """Return the numbers of the nodes that the cluster was started with."""
        state = read_state(self.names.cluster)
        return list(range(1, 1 + (state.nodes if state else 1)))

    def layout(self, number: int = 1) -> Layout:
        """Return the layout of a node of the started cluster.

        Raises:
            Refused: it was never started, or has no such node.
        """
        name = self.names.cluster
        state = read_state(name)
        if not state or state.provider != "native":
            raise Refused(f"no cluster {name!r} here", f"start it: `up --name {name}`")
        if number not in self.numbers():
            raise Refused(
                f"{name!r} has no node {number}", f"run `up --name {name} --nodes {number}`"
            )
        programs = Programs(Path(state.kubernetes), Path(state.runtime))
        first = Layout(self.root, self.names, Addresses(state.slot), programs)
        return first.of_node(number)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator and return its output."""
        layout = self.layout()
        program = layout.programs.kubernetes / "kubectl"
        return run(program, f"--kubeconfig={layout.kubeconfig}", *arguments, stdin=stdin)

    def inside(self, *command: str, number: int = 1) -> list[str]:
        """Return the command line that runs a command in a node's namespaces."""
        layout = self.layout(number)
        return [
            "nsenter",
            f"--target={node.first_process(layout.names)}",
            *("--net", "--mount", "--pid"),
            "env",
            f"--chdir={os.getcwd()}",
            f"PATH={layout.programs.search_path}",
            f"KUBECONFIG={layout.kubeconfig}",
            *command,
        ]

    def process_ids(self) -> list[int]:
        """Return the processes in the nodes' network namespaces: the daemons, not the pods."""
        return [pid for names in self._every_node() for pid in network.processes(names)]

    def fake_gpus(self, count: int, number: int = 1) -> None:
        """Let a node claim GPUs; kubelet keeps such a capacity until the node is deleted."""
        name, log = self.layout(number).names.node, self.layout(number).log
        patch = {"status": {"capacity": {GPU: str(count)}}}
        target = ("node", name, "--subresource=status")
        self.kubectl("patch", *target, "--type=merge", f"--patch={json.dumps(patch)}")

        def offered() -> bool:
            path = "jsonpath={.status.allocatable.nvidia\\.com/gpu}"
            return self.kubectl("get", "node", name, "-o", path) == str(count)

        what = "kubelet does not offer the GPUs"
        readiness.wait_until(what, offered, GPU_SECONDS, lambda: f"see {log}/kubelet.log")

    def leftovers(self) -> list[str]:
        """Return what exists of the cluster on this machine, in words."""
        found = [line for names in self._every_node() for line in node.leftovers(names)]
        return found + [f"folder {self.root}"] * self.root.exists()

    def _every_node(self) -> list[Names]:
        """Return the names of all nodes that may exist; the last ones first, as they must end."""
        return [replace(self.names, number=n) for n in range(MAX_NODES, 0, -1)]

    def _remember(self, nodes: int) -> None:
        """Record how many nodes there are; none is ever taken away."""
        if nodes > MAX_NODES:
            raise Refused(f"{nodes} nodes are too many", f"ask for at most {MAX_NODES}")
        state = read_state(self.names.cluster)
        if state and nodes > state.nodes:
            replace(state, nodes=nodes).write(self.names.cluster)

    def _remembered_layout(self) -> Layout:
        """Return the layout to start with: addresses are kept, programs are today's."""
        programs = Programs(
            Builder(kubernetes(), self._progress).ensure(),
            Builder(runtime(), self._progress).ensure(),
        )
        name = self.names.cluster
        with locked("addresses"):
            state = read_state(name)
            if state and state.provider != "native":
                raise Refused(f"{name!r} names another cluster", f"run `down --name {name}` first")
            slot = state.slot if state else free_addresses(name, network.routed_networks()).slot
            folders = (str(programs.kubernetes), str(programs.runtime))
            nodes = state.nodes if state else 1
            ClusterState("native", slot, *folders, nodes=nodes).write(name)
        return Layout(self.root, self.names, Addresses(slot), programs)

    def _start(self, layout: Layout) -> None:
        """Start the first node with the control plane, and wait until it can be used."""
        pause = images.build("pause", self._progress)
        first = node.start(layout)
        began = time.time()
        self._wait_for_api(layout, first)
        self._reached("API server ready", began)
        self.kubectl("apply", "--server-side", "--filename", str(layout.config / "dns.yaml"))
        self._wait_for_node(layout, pause, began)
        self._reached("node Ready", began)
        hint = _hint(layout)
        readiness.wait_until("no DNS", self._resolves, DNS_SECONDS, lambda: hint)
        self._reached("DNS up", began)
        node.started(layout, first)

    def _join(self, layout: Layout) -> None:
        """Start a further node, unless it runs, and wait until it is Ready."""
        if node.running(layout.names, layout.folder):
            return
        node.end(layout.names)
        pause = images.build("pause", self._progress)
        began = time.time()
        process = node.start(layout)
        self._wait_for_node(layout, pause, began)
        node.started(layout, process)
        self._reached(f"node {layout.names.node} Ready", began)

    def _reached(self, what: str, since: float) -> None:
        self._progress(f"{what} after {time.time() - since:.1f} s")

    def _wait_for_api(self, layout: Layout, first: subprocess.Popen[bytes]) -> None:
        def ready_or_gone() -> bool:
            return first.poll() is not None or self._api_ready(layout)

        readiness.wait_until("no API server", ready_or_gone, API_SECONDS, lambda: _hint(layout))
        if first.poll() is not None:
            raise Refused("the node's first process ended", _hint(layout))

    def _wait_for_node(self, layout: Layout, pause: Path, since: float) -> None:
        """Wait until a node started then is Ready; it can run pods once it has the pause image."""
        number = layout.names.number

        def hint() -> str:
            return _hint(layout)

        readiness.wait_until("no container runtime", lambda: _runs(self, number), API_SECONDS, hint)
        _import(self, number, pause)
        name = layout.names.node
        readiness.wait_until("no node", lambda: self._ready(name, since), NODE_SECONDS, hint)

    def _ready(self, name: str, since: float) -> bool:
        """Say whether a node was Ready since then: one that died is called Ready for a while."""
        text = self.kubectl("get", "node", name, "--ignore-not-found", "-o", "json")
        return bool(text) and readiness.node_ready(json.loads(text), since)

    def _api_ready(self, layout: Layout) -> bool:
        program = layout.programs.kubernetes / "kubectl"
        config = f"--kubeconfig={layout.kubeconfig}"
        return attempt(program, config, "get", "--raw=/readyz", "--request-timeout=2s")

    def _resolves(self) -> bool:
        addresses = self.layout().addresses
        name = f"kubernetes.default.svc.{settings.CLUSTER_DOMAIN}"
        return readiness.lookup(name, addresses.node) == addresses.api_service

    def _end(self) -> None:
        for names in self._every_node():
            node.end(names)
        for mark in (self.root / node.READY, *self.root.glob(f"node-*/{node.READY}")):
            mark.unlink(missing_ok=True)


def load_archive(cluster: NativeCluster, archive: Path) -> bool:
    """Import an image archive into every node that lacks that digest; say whether one did."""
    return any([_import(cluster, number, archive) for number in cluster.numbers()])


def _import(cluster: NativeCluster, number: int, archive: Path) -> bool:
    digest = images.archive_digest(archive)
    control = ("ctr", "--namespace=k8s.io", "images")
    if digest in run(*cluster.inside(*control, "list", number=number)):
        return False
    run(*cluster.inside(*control, "import", str(archive), number=number))
    return True


def _runs(cluster: NativeCluster, number: int) -> bool:
    """Say whether a node's containerd answers."""
    try:
        return attempt(*cluster.inside("ctr", "version", number=number))
    except Refused:
        return False


def _hint(layout: Layout) -> str:
    last = readiness.tail(layout.log / "init.log")
    return f"the logs are in {layout.log}; init.log ends with:\n{last}"
