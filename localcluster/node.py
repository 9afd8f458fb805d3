"""Start, find and end one node: a process tree in network, mount and pid namespaces of its own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from localcluster import cgroups, network, settings
from localcluster.daemons import node_daemons
from localcluster.errors import Refused
from localcluster.folders import REPOSITORY
from localcluster.identities import write_identities
from localcluster.layout import Layout
from localcluster.naming import Names

READY = "ready"
"""File in a node's folder: it was ready once since its start."""


def start(layout: Layout) -> subprocess.Popen[bytes]:
    """Start a node's first process, which outlives this one."""
    write_files(layout)
    network.create(layout)
    return _launch(layout)


def started(layout: Layout, process: subprocess.Popen[bytes]) -> None:
    """Record that a node became ready; from here on its process is not ours to wait for."""
    process.returncode = 0
    (layout.folder / READY).touch()


def running(names: Names, folder: Path) -> bool:
    """Say whether a node's processes live and it once became ready."""
    return bool(network.processes(names)) and (folder / READY).exists()


def end(names: Names) -> None:
    """Kill a node and remove its namespace, link and cgroups; its files stay.

    Raises:
        Refused: something did not end in 20 s.
    """
    network.end_processes(names)
    if left := cgroups.remove(names.cgroup):
        raise Refused(f"{left[0]} is not empty", "see its cgroup.procs")
    network.remove(names)


def leftovers(names: Names) -> list[str]:
    """Return what exists of a node on this machine, in words."""
    found = [f"process {pid}" for pid in network.processes(names)]
    found += [f"cgroup {group}" for group in cgroups.present(names.cgroup)]
    found += [f"link {names.link}"] * network.link_exists(names)
    found += [f"network namespace {names.netns}"] * network.exists(names)
    return found


def first_process(names: Names) -> int:
    """Return the pid, as this machine sees it, of a node's first process.

    Raises:
        Refused: the node does not run.
    """
    for pid in network.processes(names):
        if _namespace_pids(pid)[1:] == ["1"]:
            return pid
    raise Refused(f"node {names.node!r} does not run", f"start it: `up --name {names.cluster}`")


def init_plan(layout: Layout) -> dict[str, Any]:
    """Return what `localcluster.init` is told, as JSON values."""
    return {
        "root": str(layout.folder),
        "log": str(layout.log),
        "cgroup": layout.names.cgroup,
        "resolver": str(layout.config / "node-resolv.conf"),
        "firewall": str(layout.config / "firewall.nft"),
        "server": layout.server,
        "authority": str(layout.authority),
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
