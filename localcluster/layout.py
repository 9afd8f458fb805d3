"""Where a cluster's files lie below its state folder, and where its programs are."""

from dataclasses import dataclass
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
    """One cluster: its names, its addresses, its folders, its programs.

    Attributes:
        root: the state folder.
    """

    root: Path
    names: Names
    addresses: Addresses
    programs: Programs

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Configuration files of the daemons."""
        return self.root / "config"

    @property
    def log(self) -> Path:
        """One log file for each daemon, and `init.log`."""
        return self.root / "log"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def server(self) -> str:
        """The API server's URL, reachable from the machine and from pods."""
        return f"https://{self.addresses.node}:{API_PORT}"

    def kubeconfig_of(self, component: str) -> Path:
        """Return where a component's own kubeconfig lies."""
        return self.config / f"{component}.kubeconfig"

    def storage(self, component: str) -> Path:
        """Return where a component keeps its data."""
        return self.root / component
