"""What the machine must offer: rights, and a few Debian packages."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from localcluster.commands import attempt, run_slowly
from localcluster.errors import Refused

# Program to the Debian package that brings it.
NODE_PROGRAMS = {
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
}
IMAGE_PROGRAMS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "cc": "gcc"}
TERMINAL_PROGRAMS = {"tmux": "tmux"}
CAP_SYS_ADMIN = 21
# Over these folders the node mounts its own; the state of a cluster may not lie below one.
OVERLAID = (Path("/run"), Path("/var/lib"), Path("/var/log"))


def missing_packages(programs: dict[str, str]) -> list[str]:
    """Return the packages of those programs that are not on the PATH."""
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return sorted(
        {package for name, package in programs.items() if not shutil.which(name, path=search)}
    )


def install(programs: dict[str, str], progress: Callable[[str], None]) -> None:
    """Install the packages of missing programs with apt-get.

    Raises:
        Refused: something is missing and this is not root, or not Debian.
    """
    packages = missing_packages(programs)
    if not packages:
        return
    _check_installable(packages)
    progress(f"installing {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    what = "apt-get update"
    run_slowly(what, "apt-get", "update", "-q", progress=progress, env=environment)
    words = ("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)
    run_slowly("apt-get install", *words, progress=progress, env=environment)


def _check_installable(packages: list[str]) -> None:
    if packages and (os.geteuid() or not shutil.which("apt-get")):
        raise Refused(f"{', '.join(packages)} missing", f"install: {' '.join(packages)}")


def check_machine() -> None:
    """Check that this machine can run a node and build its images.

    Raises:
        Refused: a right is missing, or a program that cannot be installed from here.
    """
    check_rights()
    _check_installable(missing_packages(NODE_PROGRAMS | IMAGE_PROGRAMS))


def check_rights() -> None:
    """Check that this process may make namespaces.

    Raises:
        Refused: it may not.
    """
    if sys.platform != "linux":
        raise Refused("a local cluster needs Linux", "use a virtual machine, or --provider current")
    if os.geteuid():
        raise Refused(
            "a local cluster needs root",
            'run it with `sudo -E env "PATH=$PATH"`, or use --provider current',
        )
    check_capabilities(Path("/proc/self/status").read_text())


def check_capabilities(status: str) -> None:
    """Check what the text of /proc/self/status says of a process's capabilities.

    Raises:
        Refused: it may not make namespaces.
    """
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if not int(effective.split()[1], 16) >> CAP_SYS_ADMIN & 1:
        raise Refused(
            "CAP_SYS_ADMIN is missing",
            "run the container privileged, or use --provider current",
        )


def check_bridge_filter() -> None:
    """Check that packets between pods of one bridge pass the firewall, as Services need.

    Raises:
        Refused: the kernel lacks br_netfilter.
    """
    setting = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not setting.exists() and not attempt("modprobe", "br_netfilter"):
        raise Refused("the kernel module br_netfilter is missing", "run `modprobe br_netfilter`")


def check_state_folder(root: Path, overlaid: Iterable[Path] = OVERLAID) -> None:
    """Check that a state folder does not lie where the node mounts its own folders.

    Raises:
        Refused: it does.
    """
    for folder in overlaid:
        if root.resolve().is_relative_to(folder):
            raise Refused(f"{root} lies below {folder}", "set MODELYARD_CACHE to another folder")
