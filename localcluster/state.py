"""What is remembered about a cluster: a small JSON file in its state folder."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from localcluster.folders import cache_root, cluster_folder
from localcluster.naming import Addresses, choose_addresses

FILE = "cluster.json"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What a cluster was started with.

    Attributes:
        provider: `native` or `current`.
        slot: which address blocks it has; -1 when the provider is not native.
        kubernetes: folder of Kubernetes' programs.
        runtime: folder of containerd and its companions.
        registry: where `load` pushes images when the provider is `current`; may be empty.
        load_command: what `load` runs when the provider is `current`; `{archive}` is replaced.
        nodes: how many nodes a native cluster has.
    """

    provider: str
    slot: int = -1
    kubernetes: str = ""
    runtime: str = ""
    registry: str = ""
    load_command: str = ""
    nodes: int = 1

    def write(self, name: str) -> None:
        """Remember this for a cluster."""
        folder = cluster_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / f"{FILE}.new"
        written.write_text(json.dumps(asdict(self), indent=2) + "\n")
        written.replace(folder / FILE)


def read_state(name: str) -> ClusterState | None:
    """Return what is remembered about a cluster, or None."""
    return _read(cluster_folder(name) / FILE)


def free_addresses(name: str, routed: list[IPv4Network]) -> Addresses:
    """Choose addresses that neither this machine nor another cluster uses."""
    return choose_addresses(name, [*routed, *_given(name)])


def _given(name: str) -> Iterator[IPv4Network]:
    for file in cache_root().glob(f"clusters/*/{FILE}"):
        state = _read(file)
        if state and state.slot >= 0 and file.parent.name != name:
            yield Addresses(state.slot).pods


def _read(path: Path) -> ClusterState | None:
    """Return the state in a file; None if there is none, or it is of another version of us."""
    try:
        return ClusterState(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
