"""A node's network namespace and its one link: to this machine, or to the first node."""

import json
import os
import signal
import time
from ipaddress import IPv4Network
from pathlib import Path

from localcluster.commands import attempt, run
from localcluster.errors import Refused
from localcluster.layout import Layout
from localcluster.naming import Names

INSIDE = "eth0"
END_SECONDS = 20.0


def routed_networks() -> list[IPv4Network]:
    """Return the IPv4 networks that this machine routes to, and its name servers."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all"))
    found = [route["dst"] for route in routes if route["dst"] != "default"]
    return [IPv4Network(text) for text in (*found, *_name_servers())]


def _name_servers() -> list[str]:
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    return [server for server in servers if ":" not in server]


def create(layout: Layout) -> None:
    """Make the namespace and the link. There is no default route: nothing can leak out.

    The route to Service addresses exists so that kube-proxy sees packets of the node itself; what
    no Service claims is rejected by the node's firewall.
    """
    names, addresses = layout.names, layout.addresses
    inside = ("ip", "-n", names.netns)
    outside = ("ip",) if layout.first else ("ip", "-n", names.first.netns)
    run("ip", "netns", "add", names.netns)
    run(*outside, "link", "add", names.link, "type", "veth", "peer", INSIDE, "netns", names.netns)
    run(*outside, "address", "add", f"{addresses.host}/30", "dev", names.link)
    run(*outside, "link", "set", names.link, "up")
    run(*inside, "address", "add", f"{addresses.node}/30", "dev", INSIDE)
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "link", "set", INSIDE, "up")
    run(*inside, "route", "add", str(addresses.services), "dev", INSIDE)
    if not layout.first:
        run(*outside, "route", "add", str(addresses.node_pods), "via", str(addresses.node))
        for block in (addresses.nodes, addresses.pods):
            run(*inside, "route", "add", str(block), "via", str(addresses.host))


def exists(names: Names) -> bool:
    """Say whether the namespace exists."""
    return _namespace_file(names).exists()


def processes(names: Names) -> list[int]:
    """Return the processes that live in the namespace."""
    if not exists(names):
        return []
    return [int(pid) for pid in run("ip", "netns", "pids", names.netns).split()]


def end_processes(names: Names) -> None:
    """Kill everything in the namespace, and with the node's first process all of its pods.

    Raises:
        Refused: something did not end in 20 s.
    """
    deadline = time.monotonic() + END_SECONDS
    while pids := processes(names):
        if time.monotonic() > deadline:
            raise Refused(f"processes {pids} did not end", "look at them with `ps`")
        for pid in pids:
            _kill(pid)
        time.sleep(0.1)


def remove(names: Names) -> None:
    """Remove the link and the namespace, whatever exists of them."""
    if link_exists(names):
        run("ip", "link", "delete", names.link)
    elif names.number > 1 and exists(names.first):
        # It would go with the namespace, but only some time after the command has ended.
        attempt("ip", "-n", names.first.netns, "link", "delete", names.link)
    if exists(names):
        run("ip", "netns", "delete", names.netns)


def link_exists(names: Names) -> bool:
    """Say whether the machine's end of the link exists; other nodes have none."""
    return names.number == 1 and Path("/sys/class/net", names.link).exists()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _namespace_file(names: Names) -> Path:
    return Path("/run/netns", names.netns)
