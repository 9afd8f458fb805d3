"""Where the files of a cluster's nodes lie below its state folder, and its programs."""

from dataclasses import dataclass, replace
from pathlib import Path

from localcluster.naming import API_PORT, Addresses, Names

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


@dataclass(frozen=True, slots=True)
class Programs:
    """The folders of the built programs."""

    kubernetes: Path
    runtime: Path

    @property
    def search_path(self) -> str:
        """The PATH that daemons and `exec` run with."""
        system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return f"{self.kubernetes}:{self.runtime}:{system}"


@dataclass(frozen=True, slots=True)
class Layout:
    """One node of a cluster: its names, its addresses, its folders, its programs.

    Attributes:
        root: the cluster's state folder.
    """

    root: Path
    names: Names
    addresses: Addresses
    programs: Programs

    def of_node(self, number: int) -> "Layout":
        """Return the layout of another node of the cluster."""
        names = replace(self.names, number=number)
        return replace(self, names=names, addresses=replace(self.addresses, number=number))

    @property
    def first(self) -> bool:
        """Whether this is the node with the control plane."""
        return self.names.number == 1

    @property
    def folder(self) -> Path:
        """The node's own part of the state folder."""
        return self.root if self.first else self.root / f"node-{self.names.number}"

    @property
    def pki(self) -> Path:
        """Certificates and keys of the node; the first node's include the authority."""
        return self.folder / "pki"

    @property
    def authority(self) -> Path:
        """The certificate of the cluster's authority."""
        return self.root / "pki" / "ca.crt"

    @property
    def config(self) -> Path:
        """Configuration files of the daemons."""
        return self.folder / "config"

    @property
    def log(self) -> Path:
        """One log file for each daemon, and `init.log`."""
        return self.folder / "log"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def server(self) -> str:
        """The API server's URL, reachable from the machine and from pods."""
        return f"https://{self.addresses.first.node}:{API_PORT}"

    def kubeconfig_of(self, component: str) -> Path:
        """Return where a component's own kubeconfig lies."""
        return self.config / f"{component}.kubeconfig"

    def storage(self, component: str) -> Path:
        """Return where a component keeps its data."""
        return self.folder / component
