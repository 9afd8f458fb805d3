"""Say what a cluster is doing."""

from pathlib import Path

from localcluster.cluster import NativeCluster
from localcluster.errors import Refused
from localcluster.folders import cluster_folder
from localcluster.naming import check_name
from localcluster.state import read_state


def exports(name: str) -> dict[str, str]:
    """Return the environment that points kubectl at a cluster.

    Raises:
        Refused: there is no such cluster.
    """
    state = read_state(check_name(name))
    if not state:
        raise Refused(f"no cluster {name!r} here", f"start it: `up --name {name}`")
    found = {"KUBECONFIG": str(cluster_folder(name) / "kubeconfig")}
    if state.kubernetes:
        found["PATH"] = f"{state.kubernetes}:$PATH"
    return found


def show(name: str) -> bool:
    """Print a cluster's state; return whether it runs."""
    state = read_state(check_name(name))
    if state and state.provider == "current":
        print(f"cluster {name}: the kubeconfig {cluster_folder(name) / 'kubeconfig'}")
        return True
    cluster = NativeCluster(name)
    if not cluster.running():
        left = cluster.leftovers()
        print(f"cluster {name} does not run" + (f"; left: {', '.join(left)}" if left else ""))
        return False
    layout = cluster.layout()
    pids = cluster.process_ids()
    memory = sum(_resident_bytes(pid) for pid in pids) / 2**20
    addresses = layout.addresses
    print(f"cluster {name} runs: {len(pids)} processes on the node, {memory:.0f} MiB")
    print(f"  API {layout.server}, pods {addresses.pods}, services {addresses.services}")
    print(f"  logs {layout.log}")
    print(cluster.kubectl("get", "nodes", "-o", "wide").rstrip())
    return True


def _resident_bytes(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except FileNotFoundError:
        return 0
    return int(pages) * 4096
