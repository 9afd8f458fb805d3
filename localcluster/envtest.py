"""A real kube-apiserver and etcd on loopback ports, for tests; no root, no containers.

    with EnvTest() as cluster:
        subprocess.run(["kubectl", "--kubeconfig", cluster.kubeconfig, "get", "namespaces"])

Without a controller manager nothing makes default ServiceAccounts, so the admission plugin that
asks for them is off and no object is ever garbage-collected; there is never a node.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster import pki
from localcluster.binaries import Builder, Progress, kubernetes
from localcluster.commands import attempt, run
from localcluster.daemons import controller_flags, etcd_flags, token_flags
from localcluster.errors import Refused
from localcluster.folders import REPOSITORY
from localcluster.guard import STOP
from localcluster.kubeconfig import write_kubeconfig
from localcluster.readiness import tail, wait_until

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOOPBACK = "127.0.0.1"
SERVICES = "10.0.0.0/24"


class EnvTest:
    """A running API server; it ends with `stop`, with the `with` block, or with this process.

    Args:
        controller_manager: also run kube-controller-manager (garbage collection, Jobs,
            Deployments, default ServiceAccounts).
        api_server_flags: further flags of the API server.
        progress: called with one line at a time while programs are built.

    Attributes:
        kubeconfig: the administrator's kubeconfig.
        url: the API server's URL.
        folder: logs, keys and data; removed by `stop`.

    Raises:
        Refused: a program cannot be built, or the API server is not ready in 60 s.
    """

    def __init__(
        self,
        *,
        controller_manager: bool = False,
        api_server_flags: tuple[str, ...] = (),
        progress: Progress = print,
    ) -> None:
        self._with_controllers = controller_manager
        self._flags = api_server_flags
        self._programs = programs(controller_manager, progress)
        self.folder = Path(tempfile.mkdtemp(prefix="modelyard-envtest-"))
        self._etcd_port, self._peer_port, self._port = free_ports(3)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.url = f"https://{LOOPBACK}:{self._port}"
        self._authority = self._prepare()
        self.kubeconfig = self.kubeconfig_for("modelyard-admin", "system:masters")
        self._start_or_clean_up()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    @property
    def kubectl(self) -> Path:
        """The kubectl that fits the server."""
        return self._programs / "kubectl"

    def stop(self) -> None:
        """End every program and remove the folder; calling it again does nothing."""
        for name in reversed(list(self._running)):
            self._stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop_apiserver(self) -> None:
        """End the API server as a deployment would (SIGTERM); etcd goes on."""
        self._stop("kube-apiserver")

    def kill_apiserver(self) -> None:
        """Kill the API server (SIGKILL); connections break in the middle of answers."""
        self._running["kube-apiserver"].kill()  # the kernel then kills what this guard ran
        self._stop("kube-apiserver")

    def start_apiserver(self) -> None:
        """Start the API server at the same port, and wait until it is ready."""
        command = [*self._api_server_command(), *self._flags]
        self._spawn("kube-apiserver", command)
        log = self.folder / "kube-apiserver.log"
        wait_until(
            "the API server is not ready",
            self._ready_or_dead,
            START_SECONDS,
            lambda: f"its log ends with:\n{tail(log)}",
        )
        if self._running["kube-apiserver"].poll() is not None:
            raise Refused("the API server ended", f"its log ends with:\n{tail(log)}")
        if self._with_controllers:
            self._ensure_controllers()

    def restart_apiserver(self) -> None:
        """End the API server and start it again, with all of its objects."""
        self.stop_apiserver()
        self.start_apiserver()

    def kubeconfig_for(self, user: str, *groups: str) -> Path:
        """Write a kubeconfig for a user in some groups; nothing checks that they exist."""
        return self._write_kubeconfig(pki.Identity(user, groups))

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig with the user name and groups of a ServiceAccount."""
        return self._write_kubeconfig(pki.service_account(namespace, name))

    def log(self, program: str) -> str:
        """Return what a program has logged."""
        return (self.folder / f"{program}.log").read_text(errors="replace")

    def _write_kubeconfig(self, identity: pki.Identity) -> Path:
        name = re.sub(r"[^-a-z0-9]", "-", identity.name.lower())
        path = self.folder / f"{name}-{len(list(self.folder.glob('*.kubeconfig')))}.kubeconfig"
        credentials = self._authority.issue(identity)
        return write_kubeconfig(path, self.url, self._authority.certificate, credentials)

    def _prepare(self) -> pki.Authority:
        authority = pki.Authority.open(self.folder, "modelyard-envtest")
        pki.token_keys(self.folder)
        server = pki.Identity("kube-apiserver", hosts=pki.server_hosts())
        authority.issue(server).write(self.folder, "apiserver")
        return authority

    def _start_or_clean_up(self) -> None:
        try:
            self._spawn("etcd", self._etcd_command())
            self.start_apiserver()
        except BaseException:
            self.stop()
            raise

    def _ensure_controllers(self) -> None:
        """Start the controllers unless they run, and wait for the first thing they make.

        They end by themselves when the API server goes away while they start.
        """
        name = "kube-controller-manager"
        if name not in self._running:
            # One mighty identity instead of a ServiceAccount for each controller saves a second.
            self._controller_config = self.kubeconfig_for(f"system:{name}", "system:masters")
        elif self._running[name].poll() is None:
            return
        else:
            self._stop(name)
        flags = controller_flags(str(self.folder), str(self._controller_config))
        # It serves only health and metrics, which nobody reads here.
        self._spawn(name, [*self._program(name), *flags, "--secure-port=0"])
        wait_until(
            "no default ServiceAccount",
            self._accounts_made,
            START_SECONDS,
            lambda: f"the controllers' log ends with:\n{tail(self.folder / f'{name}.log')}",
        )

    def _accounts_made(self) -> bool:
        account = ("get", "serviceaccount", "default", "--namespace=default")
        return attempt(self.kubectl, f"--kubeconfig={self.kubeconfig}", *account)

    def _spawn(self, name: str, command: list[str]) -> None:
        guard = [sys.executable, "-m", "localcluster.guard", *command]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                guard,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                start_new_session=True,
            )

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        with suppress(BrokenPipeError):  # it ended by itself
            process.communicate(STOP, timeout=STOP_SECONDS)

    def _program(self, name: str) -> list[str]:
        return [str(self._programs / name)]

    def _etcd_command(self) -> list[str]:
        client, peer = (f"http://{LOOPBACK}:{port}" for port in (self._etcd_port, self._peer_port))
        flags = etcd_flags(str(self.folder / "etcd"), client, peer)
        return [*self._program("etcd"), *flags]

    def _api_server_command(self) -> list[str]:
        admission = (
            () if self._with_controllers else ("--disable-admission-plugins=ServiceAccount",)
        )
        return [
            *self._program("kube-apiserver"),
            f"--etcd-servers=http://{LOOPBACK}:{self._etcd_port}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self._port}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            *token_flags(str(self.folder)),
            *admission,
        ]

    def _ready_or_dead(self) -> bool:
        if self._running["kube-apiserver"].poll() is not None:
            return True
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=5):  # noqa: S310 - https
                return True
        except OSError:
            return False


def programs(controller_manager: bool, progress: Progress = print) -> Path:
    """Return the folder with the programs: `KUBEBUILDER_ASSETS` if it fits, else our own build."""
    names = ["etcd", "kube-apiserver", "kubectl"]
    if controller_manager:
        names.append("kube-controller-manager")
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        folder = Path(assets)
        if suitable(folder, names):
            return folder
        progress(f"KUBEBUILDER_ASSETS={folder} does not hold our Kubernetes; building it")
    return Builder(kubernetes(), progress).ensure(names)


def suitable(folder: Path, names: list[str]) -> bool:
    """Say whether a folder holds these programs in the minor version that we pin."""
    if not all((folder / name).exists() for name in names):
        return False
    wanted = kubernetes().version("k8s.io/kubernetes").rpartition(".")[0]
    return f" {wanted}." in run(folder / "kube-apiserver", "--version")


def free_ports(count: int) -> list[int]:
    """Return loopback ports that were free a moment ago, all different."""
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in held]
    for found in held:
        found.close()
    return ports


def run_until_interrupted(controller_manager: bool) -> None:
    """Run a server for a person: print how to reach it, and wait for Ctrl-C."""
    started = time.monotonic()
    with EnvTest(controller_manager=controller_manager) as cluster:
        print(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C ends it")
        print(f'export KUBECONFIG="{cluster.kubeconfig}"', flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping")
