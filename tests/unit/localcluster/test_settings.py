"""Configuration of the node: what one daemon is told fits what another is told."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from localcluster import init, settings
from localcluster.cgroups import parse_mounts
from localcluster.cluster import init_plan
from localcluster.daemons import node_daemons
from localcluster.errors import Refused
from localcluster.layout import CONTAINERD_SOCKET, Layout, Programs
from localcluster.naming import Addresses, Names
from localcluster.prerequisites import check_state_folder, missing_packages


@pytest.fixture
def layout() -> Layout:
    programs = Programs(Path("/cache/kubernetes"), Path("/cache/runtime"))
    return Layout(Path("/state/yard"), Names("yard"), Addresses(5), programs)


def test_containerd_and_kubelet_meet_at_one_socket(layout: Layout) -> None:
    runtime = tomllib.loads(settings.containerd(layout))
    assert runtime["grpc"]["address"] == CONTAINERD_SOCKET
    assert settings.kubelet(layout)["containerRuntimeEndpoint"] == f"unix://{CONTAINERD_SOCKET}"


def test_containerd_uses_our_pause_image_and_network(layout: Layout) -> None:
    plugins = tomllib.loads(settings.containerd(layout))["plugins"]
    pinned = plugins["io.containerd.cri.v1.images"]["pinned_images"]
    assert pinned["sandbox"] == "localhost/modelyard/pause:dev"
    cni = plugins["io.containerd.cri.v1.runtime"]["cni"]
    assert cni["bin_dirs"] == ["/cache/runtime/cni"]
    assert f"{cni['conf_dir']}/10-modelyard.conflist".endswith("config/cni/10-modelyard.conflist")


def test_pods_get_addresses_of_their_node(layout: Layout) -> None:
    bridge = settings.pod_network(layout)["plugins"][0]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.25.0.0/24"}]]
    assert bridge["ipMasq"] is False


def test_dns_is_one_address_everywhere(layout: Layout) -> None:
    service, endpoints = settings.dns_objects(layout)[:2]
    assert settings.kubelet(layout)["clusterDNS"] == [service["spec"]["clusterIP"]]
    assert f"bind {endpoints['endpoints'][0]['addresses'][0]}" in settings.corefile(layout)
    assert endpoints["metadata"]["labels"]["kubernetes.io/service-name"] == "kube-dns"


def test_kubelet_runs_on_either_cgroup_version(layout: Layout) -> None:
    kubelet = settings.kubelet(layout)
    assert kubelet["failCgroupV1"] is False
    assert kubelet["cgroupRoot"] == "/modelyard-yard"


def test_every_config_file_parses(layout: Layout) -> None:
    files = settings.config_files(layout)
    for name, text in files.items():
        if name.endswith(".yaml"):
            assert list(yaml.safe_load_all(text))
        if name.endswith(".conflist"):
            assert json.loads(text)["plugins"]


def test_every_file_a_daemon_is_given_is_written(layout: Layout) -> None:
    written = {str(layout.config / name) for name in settings.config_files(layout)}
    words = " ".join(word for daemon in node_daemons(layout) for word in daemon.command)
    used = {word for word in words.replace("=", " ").split() if word.startswith("/state/yard/con")}
    missing = {path for path in used - written if not path.endswith(".kubeconfig")}
    assert not {path for path in missing if Path(path).suffix}


def test_the_plan_of_init_is_plain_json(layout: Layout) -> None:
    plan = json.loads(json.dumps(init_plan(layout)))
    assert [daemon["name"] for daemon in plan["daemons"]][:3] == [
        "etcd",
        "kube-apiserver",
        "containerd",
    ]
    assert plan["environment"]["PATH"].startswith("/cache/kubernetes:/cache/runtime:")


def test_only_the_node_may_answer_the_machine(layout: Layout) -> None:
    rules = settings.firewall(layout)
    assert "10.27.0.0/30" in rules
    assert rules.count("reject") == 2


V1 = "cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0\n"
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"


def test_both_cgroup_versions_are_found() -> None:
    first, second = parse_mounts("proc /proc proc rw 0 0\n" + V1 + V2)
    assert (first.version, "cpuset" in first.options) == (1, True)
    assert (second.version, second.mount) == (2, Path("/sys/fs/cgroup"))


def test_a_state_folder_below_an_overlaid_one_is_refused() -> None:
    with pytest.raises(Refused, match="MODELYARD_CACHE"):
        check_state_folder(Path("/var/lib/jenkins/.cache/modelyard/clusters/yard"))
    check_state_folder(Path("/home/someone/.cache/modelyard/clusters/yard"))
    assert set(init.OVERLAID) <= {"/var/lib", "/var/log"}


def test_missing_programs_are_named_by_package() -> None:
    assert missing_packages({"sh": "dash", "no-such-program": "some-package"}) == ["some-package"]
