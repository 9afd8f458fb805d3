"""Control groups of a cluster, on machines with hierarchy version 1, version 2 or both."""

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DAEMONS = "daemons"
LEAF = "init"
"""Where a container's own processes go, as in kind."""
REMOVE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    Attributes:
        mount: where it is mounted.
        version: 1 or 2.
        options: mount options, which name the controllers of a version 1 hierarchy.
    """

    mount: Path
    version: int
    options: frozenset[str]


def parse_mounts(text: str) -> list[Hierarchy]:
    """Return the hierarchies in the text of /proc/self/mounts, each mount point once."""
    versions = {"cgroup": 1, "cgroup2": 2}
    found: dict[str, Hierarchy] = {}
    for line in text.splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind in versions:
            found[mount] = Hierarchy(Path(mount), versions[kind], frozenset(options.split(",")))
    return list(found.values())


def hierarchies() -> list[Hierarchy]:
    """Return the hierarchies mounted here."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def join(name: str, pid: int) -> None:
    """Make a cluster's group in every hierarchy and move a process into its `daemons` group.

    The daemons get a group of their own because version 2 allows no processes beside child
    groups, and so that they do not stay in the group of whoever started the cluster.
    """
    for hierarchy in hierarchies():
        group = hierarchy.mount / name
        _make(hierarchy, group)
        _make(hierarchy, group / DAEMONS)
        (group / DAEMONS / "cgroup.procs").write_text(str(pid))


def _make(hierarchy: Hierarchy, group: Path) -> None:
    if hierarchy.version == 2:  # noqa: PLR2004
        _delegate(group.parent)
    group.mkdir(exist_ok=True)
    if "cpuset" in hierarchy.options:
        # A new version 1 group has no processors and no memory nodes, and takes no process.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            (group / setting).write_text((group.parent / setting).read_text())


def _delegate(group: Path) -> None:
    """Pass a version 2 group's controllers on to its children."""
    passed = group / "cgroup.subtree_control"
    missing = set((group / "cgroup.controllers").read_text().split())
    missing -= set(passed.read_text().split())
    if not missing:
        return
    enabled = " ".join(f"+{controller}" for controller in sorted(missing))
    try:
        passed.write_text(enabled)
    except OSError as error:
        # In a container the topmost group is not the kernel's own root, and holds processes.
        if error.errno != errno.EBUSY:
            raise
        _clear(group)
        passed.write_text(enabled)


def _clear(group: Path) -> None:
    """Move a group's processes into a child: one with processes may pass nothing on."""
    leaf = group / LEAF
    leaf.mkdir(exist_ok=True)
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(pid)


def remove(name: str) -> list[Path]:
    """Remove a cluster's groups; returns those that still hold processes after 20 s."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while left := _remove_once(name):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.1)
    return []


def present(name: str) -> list[Path]:
    """Return the groups of a cluster that exist."""
    roots = [hierarchy.mount / name for hierarchy in hierarchies()]
    return [root for root in roots if root.exists()]


def _remove_once(name: str) -> list[Path]:
    for root in present(name):
        for folder, _, _ in os.walk(root, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                continue  # a process has not left yet; the caller tries again
    return present(name)
