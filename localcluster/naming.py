"""Every name and address of a cluster, derived from the cluster's name.

Two clusters side by side never share a namespace, link, cgroup, folder or address block. A
cluster takes three neighbouring /16 blocks of 10.0.0.0/8: pods, services, and nodes. Its nodes are
numbered from 1; the first runs the control plane and alone is linked to the machine:

    machine ──/30── node 1 ──/30── node 2
                       └─────/30── node 3
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from localcluster.errors import Refused

PREFIX = "modelyard"
API_PORT = 6443
PATTERN = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")
FIRST_BLOCK = 10
BLOCKS = 3
SLOTS = 80
MAX_NODES = 9


def check_name(name: str) -> str:
    """Return the name of a cluster if it can be used in host names, links and paths.

    Raises:
        Refused: it cannot.
    """
    if not PATTERN.fullmatch(name):
        raise Refused(
            f"{name!r} cannot name a cluster",
            "use at most 30 lower-case letters, digits and dashes, beginning with a letter",
        )
    return name


@dataclass(frozen=True, slots=True)
class Addresses:
    """The address blocks of one cluster.

    Attributes:
        slot: which of the 80 groups of blocks it takes, 0 to 79.
        number: the node that `link`, `host`, `node` and `node_pods` speak of.
    """

    slot: int
    number: int = 1

    @property
    def pods(self) -> IPv4Network:
        """The /16 that pods live in."""
        return self._block(0)

    @property
    def services(self) -> IPv4Network:
        """The /16 of Service addresses."""
        return self._block(1)

    @property
    def nodes(self) -> IPv4Network:
        """The /16 that holds the nodes' links."""
        return self._block(2)

    @property
    def api_service(self) -> IPv4Address:
        """The address of the Service `kubernetes`."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """The address of the Service `kube-dns`."""
        return self.services[10]

    @property
    def link(self) -> IPv4Network:
        """The /30 of the node's link: to the machine for the first node, else to the first."""
        return _part(self.nodes, 30, self.number)

    @property
    def host(self) -> IPv4Address:
        """The other end of the node's link."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The node's address; on the first node API server and DNS listen on it."""
        return self.link[2]

    @property
    def node_pods(self) -> IPv4Network:
        """The /24 that the node gives its pods addresses from."""
        return _part(self.pods, 24, self.number)

    @property
    def first(self) -> "Addresses":
        """The addresses of the first node."""
        return Addresses(self.slot)

    def _block(self, offset: int) -> IPv4Network:
        return IPv4Network((f"10.{FIRST_BLOCK + BLOCKS * self.slot + offset}.0.0", 16))


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a cluster uses on the machine.

    Attributes:
        cluster: the cluster's own name.
        number: the node that the other names are of.
    """

    cluster: str
    number: int = 1

    @property
    def node(self) -> str:
        """The Node object's name."""
        return self.cluster if self.number == 1 else f"{self.cluster}-{self.number}"

    @property
    def netns(self) -> str:
        """The network namespace, as `ip netns` shows it."""
        return f"{PREFIX}-{self.cluster}{self._suffix}"

    @property
    def cgroup(self) -> str:
        """The folder below every cgroup hierarchy that holds daemons and pods."""
        return f"{PREFIX}-{self.cluster}{self._suffix}"

    @property
    def link(self) -> str:
        """The outer end of the node's veth pair (at most 15 characters, a limit of Linux).

        It lies on the machine for the first node, and for others in the first node's namespace.
        """
        if self.number > 1:
            return f"node{self.number}"
        return f"{self.cluster[:6].rstrip('-')}-{_digest(self.cluster):08x}"[:15]

    @property
    def first(self) -> "Names":
        """The names of the first node."""
        return Names(self.cluster)

    @property
    def _suffix(self) -> str:
        """A part that no cluster's own name can end with."""
        return "" if self.number == 1 else f".{self.number}"


def choose_addresses(name: str, taken: Iterable[IPv4Network]) -> Addresses:
    """Choose the blocks of a cluster: the name's own slot, or the next one that is free.

    Args:
        name: the cluster's name.
        taken: networks this machine already routes to or has given to other clusters.

    Raises:
        Refused: every slot overlaps something.
    """
    used = [network for network in taken if network.prefixlen]
    for step in range(SLOTS):
        found = Addresses((_digest(name) + step) % SLOTS)
        if not any(_overlap(found, network) for network in used):
            return found
    raise Refused("every block of 10.0.0.0/8 is routed somewhere", "remove a cluster or a route")


def _overlap(addresses: Addresses, network: IPv4Network) -> bool:
    return any(
        block.overlaps(network) for block in (addresses.pods, addresses.services, addresses.nodes)
    )


def _part(block: IPv4Network, prefix: int, number: int) -> IPv4Network:
    """Return the part of a block that belongs to a node."""
    size = 1 << (block.max_prefixlen - prefix)
    return IPv4Network((int(block.network_address) + (number - 1) * size, prefix))


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
