"""What the machine lacks is said in one line, with the way out."""

import os
import sys
from pathlib import Path

import pytest

from localcluster import cgroups, cli, cluster, prerequisites, state
from localcluster.cgroups import Hierarchy
from localcluster.errors import Refused


def _said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """Run the command line, which must end with 1; return what it printed."""
    monkeypatch.setattr(sys, "argv", ["localcluster", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    found = capsys.readouterr()
    assert found.out == ""
    return found.err


def test_without_root_there_is_one_line_with_two_ways_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = _said(monkeypatch, capsys, "up", "--name", "rootless")
    assert said.count("\n") == 1
    assert "needs root" in said
    assert "sudo" in said
    assert "--provider current" in said


def test_elsewhere_than_on_linux_there_is_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Refused, match=r"needs Linux; .*--provider current"):
        prerequisites.check_machine()


def test_a_machine_is_told_of_programs_that_it_cannot_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "check_capabilities", lambda _: None)
    monkeypatch.setattr(prerequisites, "missing_packages", lambda _: ["runc"])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused, match="runc missing; install: runc"):
        prerequisites.check_machine()


def test_a_container_without_rights_is_told_what_it_lacks() -> None:
    with pytest.raises(Refused, match="CAP_SYS_ADMIN is missing; run the container privileged"):
        prerequisites.check_capabilities("Name:\tsh\nCapEff:\t00000000a80425fb\n")
    prerequisites.check_capabilities("Name:\tsh\nCapEff:\t000001ffffffffff\n")


@pytest.mark.parametrize("uid", [0, 1000])
def test_missing_programs_are_named_where_they_cannot_be_installed(
    monkeypatch: pytest.MonkeyPatch, uid: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("PATH", "/nowhere")
    wanted = {"no-such-program": "some-package"}
    with pytest.raises(Refused, match="some-package missing; install: some-package"):
        prerequisites.install(wanted, print)


def test_a_missing_go_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = _said(monkeypatch, capsys, "build")
    assert said.count("\n") == 1
    assert "Go is not on the PATH; install Go" in said


def test_a_current_cluster_without_a_way_for_images_names_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path))
    cli.current.ClusterState("current").write("adopted")
    monkeypatch.setattr(cli.images, "build", lambda *_: tmp_path / "archive")
    said = _said(monkeypatch, capsys, "load", "base", "--name", "adopted")
    assert "--load-command" in said
    assert "--registry" in said


def test_more_nodes_than_there_are_addresses_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path))
    cluster.ClusterState("native", slot=1).write("yard")
    found = cluster.NativeCluster("yard")
    assert found.numbers() == [1]
    with pytest.raises(Refused, match="--nodes 2"):
        found.layout(2)


@pytest.mark.parametrize("content", ["", "[]", '{"provider": "native", "unheard": 1}'])
def test_a_state_that_cannot_be_read_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    """Killed while it was written, or written by another version: `down` still works."""
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path))
    cluster.ClusterState("native", slot=1).write("yard")
    (written,) = (tmp_path / "clusters/yard").iterdir()
    written.write_text(content)
    assert state.read_state("yard") is None
    assert state.free_addresses("other", []).slot >= 0


def test_version_2_groups_pass_their_controllers_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in the kernel, each group lists the controllers that it may pass on."""
    for group in (tmp_path, tmp_path / "modelyard-yard"):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpu memory pids\n")
        (group / "cgroup.subtree_control").touch()
    (tmp_path / "modelyard-yard" / cgroups.DAEMONS).mkdir()
    hierarchy = Hierarchy(tmp_path, 2, frozenset({"rw"}))
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [hierarchy])
    cgroups.join("modelyard-yard", 4711)
    for group in (tmp_path, tmp_path / "modelyard-yard"):
        assert (group / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    daemons = tmp_path / "modelyard-yard" / cgroups.DAEMONS
    assert (daemons / "cgroup.procs").read_text() == "4711"
    assert not (tmp_path / "modelyard-yard" / "cgroup.procs").exists()
    assert cgroups.present("modelyard-yard") == [tmp_path / "modelyard-yard"]


def test_controllers_that_are_passed_on_are_not_passed_on_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [Hierarchy(tmp_path, 2, frozenset())])
    with pytest.raises(FileNotFoundError):  # the kernel would have filled the new group
        cgroups.join("modelyard-yard", 4711)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +pids"


def test_version_1_groups_get_processors_before_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for setting in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / setting).write_text("0-1")
    hierarchy = Hierarchy(tmp_path, 1, frozenset({"rw", "cpuset"}))
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [hierarchy])
    cgroups.join("modelyard-yard", 4711)
    daemons = tmp_path / "modelyard-yard" / cgroups.DAEMONS
    assert (daemons / "cpuset.cpus").read_text() == "0-1"
    assert (daemons / "cgroup.procs").read_text() == "4711"
