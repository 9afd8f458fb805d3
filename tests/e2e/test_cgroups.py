"""Control groups of version 2 on the real kernel, as a container sees them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcluster import cgroups
from localcluster.cgroups import DAEMONS, LEAF, Hierarchy

pytestmark = pytest.mark.e2e
NAME = "modelyard-nested"


@pytest.fixture
def topmost() -> Iterator[Path]:
    """A group that was given a controller, in the role of a container's topmost one."""
    mounts = [h.mount for h in cgroups.hierarchies() if h.version == 2]
    offering = [m for m in mounts if (m / "cgroup.controllers").read_text().split()]
    if not offering:
        pytest.skip("this kernel offers no controller to cgroups of version 2")
    (controller, *_) = (offering[0] / "cgroup.controllers").read_text().split()
    (offering[0] / "cgroup.subtree_control").write_text(f"+{controller}")
    group = offering[0] / "modelyard-container"
    group.mkdir()
    yield group
    (group / LEAF).rmdir()
    group.rmdir()


@contextmanager
def _process_in(group: Path) -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        (group / "cgroup.procs").write_text(str(process.pid))
        try:
            yield process.pid
        finally:
            process.kill()


def test_processes_of_a_container_make_way(topmost: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [Hierarchy(topmost, 2, frozenset())])
    with _process_in(topmost) as shell, _process_in(topmost) as daemon:
        cgroups.join(NAME, daemon)
        assert (topmost / LEAF / "cgroup.procs").read_text().split() == [str(shell)]
        group = topmost / NAME / DAEMONS
        assert (group / "cgroup.procs").read_text().split() == [str(daemon)]
        passed = (group / "cgroup.controllers").read_text()
        assert passed == (topmost / "cgroup.controllers").read_text() != ""
    assert cgroups.remove(NAME) == []
