"""Build contexts that are made rather than copied: a Debian root, and the pause program."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from localcluster.binaries import Progress
from localcluster.commands import run, run_slowly
from localcluster.folders import REPOSITORY

SUITE = "trixie"
PACKAGES = "python3,ca-certificates"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
APT_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def debian_root(context: Path, progress: Progress) -> None:
    """Write `rootfs.tar`: the smallest Debian with Python, the system of `python:3.13-slim`."""
    mirror = debian_mirror(APT_SOURCES.read_text() if APT_SOURCES.exists() else "")
    run_slowly(
        "installing a Debian",
        "mmdebstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        # Documentation and package lists are of no use in a container.
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        SUITE,
        context / "rootfs.tar",
        mirror,
        progress=progress,
    )


def debian_mirror(sources: str) -> str:
    """Return the mirror of a deb822 sources file, else Debian's own."""
    found = re.search(r"^URIs:\s*(\S+/debian/?)\s*$", sources, re.MULTILINE)
    return found.group(1) if found else DEFAULT_MIRROR


def pause_program(context: Path, _: Progress) -> None:
    """Compile `pause`, which holds a pod's namespaces, as a static program."""
    source = REPOSITORY / "images" / "pause" / "pause.c"
    run("cc", "-static", "-Os", "-s", "-Wall", "-Werror", "-o", context / "pause", source)


# Image to what fills its build context, and what that depends on beside the image's own folder.
PREPARED: Mapping[str, tuple[Callable[[Path, Progress], None], tuple[str, ...]]] = {
    "base": (debian_root, (SUITE, PACKAGES)),
    "pause": (pause_program, ()),
}
