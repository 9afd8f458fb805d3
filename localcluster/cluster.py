"""Start, find and end a native cluster: one node in namespaces of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from localcluster import cgroups, images, network, prerequisites, readiness, settings
from localcluster.binaries import Builder, Progress, kubernetes, runtime
from localcluster.commands import attempt, run
from localcluster.daemons import node_daemons
from localcluster.errors import Refused
from localcluster.folders import REPOSITORY, cluster_folder, locked
from localcluster.identities import write_identities
from localcluster.layout import Layout, Programs
from localcluster.naming import Addresses, Names, check_name
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

    def up(self) -> Layout:
        """Start the cluster, or return at once if it runs.

        A cluster that was interrupted, by a crash or a restart of the machine, goes on with its
        objects and images.

        Raises:
            Refused: a right or a program is missing, or something did not become ready.
        """
        prerequisites.check_rights()
        prerequisites.check_state_folder(self.root)
        with locked(f"cluster-{self.names.cluster}"):
            if self.running():
                return self.layout()
            prerequisites.install(prerequisites.NODE_PROGRAMS, self._progress)
            prerequisites.check_bridge_filter()
            self._end()
            layout = self._remembered_layout()
            return self._start(layout)

    def down(self) -> None:
        """End the cluster and remove everything it left, except the build cache."""
        prerequisites.check_rights()
        with locked(f"cluster-{self.names.cluster}"):
            self._end()
            if self.root.exists():
                shutil.rmtree(self.root)

    def running(self) -> bool:
        """Say whether the node's first process lives and the cluster once became ready."""
        return bool(network.processes(self.names)) and (self.root / "ready").exists()

    def layout(self) -> Layout:
        """Return the layout of the started cluster.

        Raises:
            Refused: it was never started.
        """
        state = read_state(self.names.cluster)
        if not state or state.provider != "native":
            name = self.names.cluster
            raise Refused(f"no cluster {name!r} here", f"start it: `up --name {name}`")
        programs = Programs(Path(state.kubernetes), Path(state.runtime))
        return Layout(self.root, self.names, Addresses(state.slot), programs)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator and return its output."""
        layout = self.layout()
        program = layout.programs.kubernetes / "kubectl"
        return run(program, f"--kubeconfig={layout.kubeconfig}", *arguments, stdin=stdin)

    def inside(self, *command: str) -> list[str]:
        """Return the command line that runs a command in the node's namespaces."""
        layout = self.layout()
        return [
            "nsenter",
            f"--target={self.first_process()}",
            *("--net", "--mount", "--pid"),
            "env",
            f"--chdir={os.getcwd()}",
            f"PATH={layout.programs.search_path}",
            f"KUBECONFIG={layout.kubeconfig}",
            *command,
        ]

    def process_ids(self) -> list[int]:
        """Return the processes in the node's network namespace: the daemons, not the pods."""
        return network.processes(self.names)

    def fake_gpus(self, count: int) -> None:
        """Let the node claim GPUs; kubelet keeps such a capacity until the node is deleted."""
        patch = {"status": {"capacity": {GPU: str(count)}}}
        node = ("node", self.names.node, "--subresource=status")
        self.kubectl("patch", *node, "--type=merge", f"--patch={json.dumps(patch)}")

        def offered() -> bool:
            path = "jsonpath={.status.allocatable.nvidia\\.com/gpu}"
            return self.kubectl("get", "node", self.names.node, "-o", path) == str(count)

        readiness.wait_until(
            "kubelet does not offer the GPUs",
            offered,
            GPU_SECONDS,
            lambda: f"see {self.layout().log}/kubelet.log",
        )

    def leftovers(self) -> list[str]:
        """Return what exists of the cluster on this machine, in words."""
        found = [f"process {pid}" for pid in network.processes(self.names)]
        found += [f"cgroup {group}" for group in cgroups.present(self.names.cgroup)]
        found += [f"link {self.names.link}"] * network.link_exists(self.names)
        found += [f"network namespace {self.names.netns}"] * network.exists(self.names)
        found += [f"folder {self.root}"] * self.root.exists()
        return found

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
            state = ClusterState("native", slot, str(programs.kubernetes), str(programs.runtime))
            state.write(name)
        return Layout(self.root, self.names, Addresses(slot), programs)

    def _start(self, layout: Layout) -> Layout:
        write_files(layout)
        pause = images.build("pause", self._progress)
        network.create(layout)
        first = _launch(layout)
        self._wait_until_ready(first, pause)
        first.returncode = 0  # from here on it is not ours to wait for
        (self.root / "ready").touch()
        return layout

    def _wait_until_ready(self, first: subprocess.Popen[bytes], pause: Path) -> None:
        layout = self.layout()
        started = time.monotonic()

        def reached(what: str) -> None:
            self._progress(f"{what} after {time.monotonic() - started:.1f} s")

        def hint() -> str:
            last = readiness.tail(layout.log / "init.log")
            return f"the logs are in {layout.log}; init.log ends with:\n{last}"

        def api_ready_or_node_gone() -> bool:
            return first.poll() is not None or self._api_ready()

        readiness.wait_until("no API server", api_ready_or_node_gone, API_SECONDS, hint)
        if first.poll() is not None:
            raise Refused("the node's first process ended", hint())
        reached("API server ready")
        self.kubectl("apply", "--server-side", "--filename", str(layout.config / "dns.yaml"))
        load_archive(self, pause)
        node = f"node/{self.names.node}"
        readiness.wait_until("no node", lambda: self._exists(node), NODE_SECONDS, hint)
        self.kubectl("wait", node, "--for=condition=Ready", f"--timeout={NODE_SECONDS:.0f}s")
        reached("node Ready")
        readiness.wait_until("no DNS", self._resolves, DNS_SECONDS, hint)
        reached("DNS up")

    def _api_ready(self) -> bool:
        layout = self.layout()
        program = layout.programs.kubernetes / "kubectl"
        config = f"--kubeconfig={layout.kubeconfig}"
        return attempt(program, config, "get", "--raw=/readyz", "--request-timeout=2s")

    def _exists(self, resource: str) -> bool:
        return bool(self.kubectl("get", resource, "--ignore-not-found").strip())

    def _resolves(self) -> bool:
        addresses = self.layout().addresses
        name = f"kubernetes.default.svc.{settings.CLUSTER_DOMAIN}"
        return readiness.lookup(name, addresses.node) == addresses.api_service

    def first_process(self) -> int:
        """Return the pid, as this machine sees it, of the node's first process.

        Raises:
            Refused: the cluster does not run.
        """
        for pid in network.processes(self.names):
            if _namespace_pids(pid)[1:] == ["1"]:
                return pid
        name = self.names.cluster
        raise Refused(f"cluster {name!r} does not run", f"start it: `up --name {name}`")

    def _end(self) -> None:
        network.end_processes(self.names)
        if left := cgroups.remove(self.names.cgroup):
            raise Refused(f"{left[0]} is not empty", "see its cgroup.procs")
        network.remove(self.names)
        (self.root / "ready").unlink(missing_ok=True)


def load_archive(cluster: NativeCluster, archive: Path) -> bool:
    """Import an image archive into the node unless it has that digest; say whether it did."""
    digest = images.archive_digest(archive)
    control = ("ctr", "--namespace=k8s.io", "images")
    listed = run(*cluster.inside(*control, "list"))
    if digest in listed:
        return False
    run(*cluster.inside(*control, "import", str(archive)))
    return True


def init_plan(layout: Layout) -> dict[str, Any]:
    """Return what `localcluster.init` is told, as JSON values."""
    return {
        "root": str(layout.root),
        "log": str(layout.log),
        "cgroup": layout.names.cgroup,
        "resolver": str(layout.config / "node-resolv.conf"),
        "firewall": str(layout.config / "firewall.nft"),
        "server": layout.server,
        "authority": str(layout.pki / "ca.crt"),
        "environment": {
            "PATH": layout.programs.search_path,
            "HOME": "/root",
            "TMPDIR": str(layout.storage("temporary")),
        },
        "daemons": [asdict(daemon) for daemon in node_daemons(layout)],
    }


def write_files(layout: Layout) -> None:
    """Write certificates, configuration and the plan of the node's first process."""
    for folder in (layout.pki, layout.log, layout.config, layout.storage("temporary")):
        folder.mkdir(parents=True, exist_ok=True)
    write_identities(layout)
    for name, content in settings.config_files(layout).items():
        path = layout.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (layout.config / "init.json").write_text(json.dumps(init_plan(layout), indent=2))


def _launch(layout: Layout) -> subprocess.Popen[bytes]:
    """Start the node's first process; it outlives this one."""
    command = [
        "nsenter",
        f"--net=/run/netns/{layout.names.netns}",
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "localcluster.init", str(layout.config / "init.json")),
    ]
    with (layout.log / "init.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            start_new_session=True,
        )


def _namespace_pids(pid: int) -> list[str]:
    """Return a process's ids from the outermost to its own pid namespace."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return []
    return next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
