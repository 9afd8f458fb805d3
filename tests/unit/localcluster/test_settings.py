"""Configuration of the node: what one daemon is told fits what another is told."""

import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from localcluster import init, settings
from localcluster.cgroups import parse_mounts
from localcluster.daemons import node_daemons
from localcluster.errors import Refused
from localcluster.identities import write_identities
from localcluster.layout import CONTAINERD_SOCKET, Layout, Programs
from localcluster.naming import Addresses, Names
from localcluster.node import init_plan
from localcluster.prerequisites import check_state_folder, missing_packages
from localcluster.readiness import node_ready


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


def test_another_node_runs_no_control_plane_and_asks_the_first(layout: Layout) -> None:
    second = layout.of_node(2)
    daemons = {daemon.name: " ".join(daemon.command) for daemon in node_daemons(second)}
    assert set(daemons) == {"containerd", "kubelet", "kube-proxy"}
    assert "--node-labels=localcluster/worker=true" in daemons["kubelet"]
    assert "--hostname-override=yard-2" in daemons["kubelet"]
    assert second.server == layout.server
    assert f"nameserver {layout.addresses.node}\n" in settings.node_resolver(second)
    assert settings.kubelet(second)["authentication"]["x509"]["clientCAFile"] == str(
        layout.pki / "ca.crt"
    )
    assert not {"Corefile", "dns.yaml"} & set(settings.config_files(second))


def test_nodes_share_no_file(layout: Layout) -> None:
    folders = [(one.pki, one.config, one.log, one.storage("etcd")) for one in _nodes(layout)]
    assert len({folder for own in folders for folder in own}) == 8


def _nodes(layout: Layout) -> list[Layout]:
    return [layout, layout.of_node(2)]


def test_what_leaves_another_node_is_for_nodes_and_pods(layout: Layout) -> None:
    rules = settings.firewall(layout.of_node(2))
    assert rules.count("ip daddr != { 10.27.0.0/16, 10.25.0.0/16 } reject") == 2


def test_every_node_has_an_identity_of_its_own(layout: Layout, tmp_path: Path) -> None:
    first = replace(layout, root=tmp_path)
    for node in _nodes(first):
        for folder in (node.pki, node.config):
            folder.mkdir(parents=True)
        write_identities(node)
    authority = x509.load_pem_x509_certificate(first.authority.read_bytes())
    for node, name in zip(_nodes(first), ("yard", "yard-2"), strict=True):
        served = x509.load_pem_x509_certificate((node.pki / "kubelet.crt").read_bytes())
        served.verify_directly_issued_by(authority)
        assert f"CN=system:node:{name}" in served.subject.rfc4514_string()
    second = first.of_node(2)
    assert not (second.pki / "ca.key").exists()
    assert not second.kubeconfig_of("kube-scheduler").exists()
    assert second.kubeconfig_of("kubelet").exists()


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


def test_a_node_that_died_is_not_ready_by_what_it_said_before() -> None:
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-02T03:04:05Z"}
    found = {"status": {"conditions": [ready]}}
    beat = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert node_ready(found, beat + 0.9)
    assert not node_ready(found, beat + 1)
    assert not node_ready({"status": {"conditions": [{**ready, "status": "Unknown"}]}}, beat)
    assert not node_ready({}, beat)


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
