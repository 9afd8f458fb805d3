"""The first process of a node: `python -m localcluster.init PLAN.json`.

It runs as PID 1 of the node's own pid, mount and network namespaces. It arranges mounts, cgroups
and packet rules, starts the daemons in order, restarts one that ends, and reaps orphans. When it is
killed the kernel ends everything else of the node, and with the mount namespace go its mounts.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster import cgroups

POLL_SECONDS = 0.1
RESTART_SECONDS = 1.0
API_SECONDS = 120.0
# Kubelet and CNI write here whatever they are told; what they write goes to the state folder.
OVERLAID = ("/var/lib", "/var/log")


@dataclass
class Node:
    """The node as its first process sees it.

    Attributes:
        plan: see `localcluster.cluster.init_plan`.
        running: pid to daemon.
    """

    plan: dict[str, Any]
    running: dict[int, dict[str, Any]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Arrange mounts, cgroups and packet rules."""
        _private_mounts(Path(self.plan["root"]), self.plan["resolver"])
        cgroups.join(self.plan["cgroup"], os.getpid())
        _network(self.plan)

    def start_all(self) -> None:
        """Start the daemons; those that need the API server wait for it."""
        for daemon in self.plan["daemons"]:
            if not daemon["needs_api"]:
                self.start(daemon)
        _wait_for_api(self.plan["server"], self.plan["authority"])
        for daemon in self.plan["daemons"]:
            if daemon["needs_api"]:
                self.start(daemon)

    def start(self, daemon: dict[str, Any]) -> None:
        """Start one daemon; its output is appended to its log."""
        name = daemon["name"]
        with Path(self.plan["log"], f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                daemon["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.plan["environment"],
                start_new_session=True,
            )
        # The wait is ours: PID 1 reaps every child, also those it did not start.
        process.returncode = 0
        self.running[process.pid] = daemon
        say(f"started {name} as {process.pid}")

    def supervise(self) -> None:
        """Reap children for ever; restart a daemon that ended."""
        while True:
            pid, status = os.wait()
            if daemon := self.running.pop(pid, None):
                code = os.waitstatus_to_exitcode(status)
                say(f"{daemon['name']} ended with {code}; restarting")
                time.sleep(RESTART_SECONDS)
                self.start(daemon)


def say(line: str) -> None:
    """Write one line to the init log."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def _private_mounts(root: Path, resolver: str) -> None:
    """Give the node its own /run and state folders, and names resolved by its own DNS."""
    _mount("--make-rshared", "/")
    resolved = Path("/etc/resolv.conf").resolve()
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for folder in OVERLAID:
        _overlay(folder, root / "overlay" / folder.strip("/"))
    resolved.parent.mkdir(parents=True, exist_ok=True)
    resolved.touch()
    _mount("--bind", resolver, resolved)


def _overlay(folder: str, own: Path) -> None:
    upper, work = own / "upper", own / "work"
    for layer in (upper, work):
        layer.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={folder},upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "-o", options, "overlay", folder)


def _network(plan: dict[str, Any]) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    # Without it the answer of a pod on the same bridge would bypass the Service's translation.
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")
    subprocess.run(["nft", "-f", plan["firewall"]], check=True)


def _wait_for_api(server: str, authority: str) -> None:
    context = ssl.create_default_context(cafile=authority)
    deadline = time.monotonic() + API_SECONDS
    while time.monotonic() < deadline:
        if _ready(f"{server}/readyz", context):
            say("the API server is ready")
            return
        time.sleep(POLL_SECONDS)
    say(f"the API server is not ready after {API_SECONDS:.0f} s; starting the rest regardless")


def _ready(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:  # noqa: S310 - https
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:
        return False


def main() -> None:
    """Run the node of the plan named on the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    node = Node(json.loads(Path(sys.argv[1]).read_text()))
    node.prepare()
    node.start_all()
    node.supervise()


if __name__ == "__main__":
    main()
