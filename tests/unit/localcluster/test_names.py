"""Names and addresses: derived from the cluster's name, never shared."""

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from localcluster.errors import Refused
from localcluster.naming import (
    MAX_NODES,
    SLOTS,
    Addresses,
    Names,
    check_name,
    choose_addresses,
)

NAMES = ("yard", "yard-test", "a", "a-very-long-cluster-name-here")


@pytest.mark.parametrize("name", NAMES)
def test_names_fit_linux(name: str) -> None:
    names = Names(check_name(name))
    assert len(names.link) <= 15
    assert names.netns == f"modelyard-{name}"


@pytest.mark.parametrize("name", ["", "Yard", "1yard", "yard-", "a" * 31, "a/b", "a b"])
def test_names_that_could_not_be_paths_or_hosts_are_refused(name: str) -> None:
    with pytest.raises(Refused, match="lower-case"):
        check_name(name)


def test_two_clusters_share_no_name() -> None:
    for one, other in combinations(map(Names, NAMES), 2):
        assert one.link != other.link
        assert one.netns != other.netns
        assert one.cgroup != other.cgroup


def test_nodes_of_one_cluster_share_no_name_and_no_address() -> None:
    for one, other in combinations(range(1, MAX_NODES + 1), 2):
        names = Names("yard", one), Names("yard", other)
        for kind in ("node", "netns", "cgroup", "link"):
            assert getattr(names[0], kind) != getattr(names[1], kind)
        places = Addresses(3, one), Addresses(3, other)
        assert not places[0].link.overlaps(places[1].link)
        assert not places[0].node_pods.overlaps(places[1].node_pods)
    last = Addresses(3, MAX_NODES)
    assert last.link.subnet_of(last.nodes)
    assert last.node_pods.subnet_of(last.pods)


def test_a_second_node_is_no_cluster_of_that_name() -> None:
    second, cluster = Names("yard", 2), Names("yard-2")
    assert second.node == "yard-2"
    assert second.netns != cluster.netns
    assert second.cgroup != cluster.cgroup
    with pytest.raises(Refused):
        check_name(second.netns.removeprefix("modelyard-"))


def test_long_names_with_the_same_beginning_get_different_links() -> None:
    assert Names("cluster-one").link != Names("cluster-two").link


def test_addresses_depend_on_the_name_alone() -> None:
    assert choose_addresses("yard", []) == choose_addresses("yard", [])
    assert choose_addresses("yard", []) != choose_addresses("yard-test", [])


def test_slots_never_overlap_and_stay_in_the_private_block() -> None:
    blocks = [
        block
        for slot in range(SLOTS)
        for block in (Addresses(slot).pods, Addresses(slot).services, Addresses(slot).nodes)
    ]
    assert len(set(blocks)) == 3 * SLOTS
    assert all(block.subnet_of(IPv4Network("10.0.0.0/8")) for block in blocks)


def test_a_routed_block_is_avoided() -> None:
    first = choose_addresses("yard", [])
    for block in (first.pods, first.services, first.nodes):
        inside = IPv4Network((int(block.network_address) + 7, 32))
        assert choose_addresses("yard", [inside]).slot == (first.slot + 1) % SLOTS


def test_the_default_route_is_no_obstacle() -> None:
    anywhere = IPv4Network("0.0.0.0/0")
    assert choose_addresses("yard", [anywhere]) == choose_addresses("yard", [])


def test_a_fully_routed_block_is_refused() -> None:
    with pytest.raises(Refused, match=r"10\.0\.0\.0/8"):
        choose_addresses("yard", [IPv4Network("10.0.0.0/8")])


def test_fixed_addresses_lie_in_their_blocks() -> None:
    found = Addresses(3)
    assert found.dns_service in found.services
    assert found.api_service in found.services
    assert found.node in found.link
    assert found.host in found.link
    assert found.node != found.host
    assert found.node_pods.subnet_of(found.pods)
