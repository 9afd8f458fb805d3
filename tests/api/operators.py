"""What tests of the operator need: an API server with the CRDs, and operator processes.

Both are real. There are no controllers: a Job that exists is all that happens by itself, and a
test plays the Job controller where it needs one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from localcluster.envtest import EnvTest, free_ports
from localcluster.gateway_api import definitions
from modelyard.api import names
from modelyard.api.deployment import ServerSpec

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0
"""Longest wait for a condition: never the time that anything takes on a free machine."""
LEASE = {"durationSeconds": 3, "renewDeadlineSeconds": 2.5, "retrySeconds": 0.5}
LONG_LEASE = {"durationSeconds": 120, "renewDeadlineSeconds": 100, "retrySeconds": 0.5}
"""As in production, a Lease outlasts a restart of the API server."""
STORE = {
    "bucket": "modelyard",
    "endpoint": "http://127.0.0.1:9",
    "readPrefixes": ["modelyard/datasets/"],
}
SERVER = ServerSpec(drain_seconds=0)
"""How `deployment` serves."""
LEASE_NAME = "tier-modelyard"
FORBIDDEN_IN_LOGS = (
    "Traceback",
    "traceback",
    "never retrieved",
    "never awaited",
    "Unclosed",
    "ResourceWarning",
)
PLURALS = {
    "ModelTraining": (names.API_VERSION, "modeltrainings"),
    "ModelVersion": (names.API_VERSION, "modelversions"),
    "ModelDeployment": (names.API_VERSION, "modeldeployments"),
    "Job": ("batch/v1", "jobs"),
    "Deployment": ("apps/v1", "deployments"),
    "Service": ("v1", "services"),
    "Event": ("v1", "events"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes"),
    "GRPCRoute": ("gateway.networking.k8s.io/v1", "grpcroutes"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"),
}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROUTE_CRDS = ("_httproutes", "_grpcroutes")
CONTENT = {
    "PATCH": "application/merge-patch+json",
    "APPLY": "application/apply-patch+yaml",
}


@dataclass(frozen=True)
class Cluster:
    """One API server, reached as its administrator."""

    server: EnvTest
    connection: client.ApiClient

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send one request and return the JSON of the answer."""
        kind = CONTENT.get(method, "application/json")
        request = self.connection.param_serialize(
            "PATCH" if method == "APPLY" else method,
            path,
            query_params=list(query.items()),
            header_params={"Content-Type": kind, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        reply = self.connection.call_api(*request)
        content = reply.read()
        if reply.status >= 400:
            raise ApiException(status=reply.status, body=content.decode())
        return json.loads(content)

    def create(self, manifest: dict[str, Any]) -> Any:
        """Create an object."""
        namespace = manifest["metadata"].get("namespace", "")
        return self.call("POST", place(manifest["kind"], namespace), manifest)

    def get(self, kind: str, namespace: str, name: str) -> Any:
        """Return an object, None if there is none."""
        try:
            return self.call("GET", place(kind, namespace, name))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str) -> list[Any]:
        """Return all objects of a kind in a namespace."""
        return self.call("GET", place(kind, namespace))["items"]

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self.call("DELETE", place(kind, namespace, name))

    def namespace(self, name: str) -> str:
        """Create a namespace and return its name."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.call("POST", "/api/v1/namespaces", body)
        return name


def place(kind: str, namespace: str, name: str = "") -> str:
    """Return the path of a collection or an object."""
    version, plural = PLURALS[kind]
    root = ("/apis/" if "/" in version else "/api/") + version
    return "/".join(part for part in (root, "namespaces", namespace, plural, name) if part)


def install_crds(cluster: Cluster) -> None:
    """Create the CRDs and wait until their kinds are served."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        cluster.call("POST", CRDS, yaml.safe_load(path.read_text()))
    for kind in ("ModelTraining", "ModelVersion", "ModelDeployment"):
        until(f"{kind} is served", lambda kind=kind: served(cluster, kind))


def install_gateway_api(cluster: Cluster) -> None:
    """Create the CRDs of the routes and wait until they are served."""
    for path in definitions():
        if path.stem.endswith(ROUTE_CRDS):
            cluster.call("POST", CRDS, yaml.safe_load(path.read_text()))
    for kind in ("HTTPRoute", "GRPCRoute"):
        until(f"{kind} is served", lambda kind=kind: served(cluster, kind))


def served(cluster: Cluster, kind: str) -> bool:
    try:
        cluster.list(kind, "default")
    except ApiException:
        return False
    return True


def until(what: str, found: Callable[[], Any], show: Callable[[], object] = lambda: "") -> Any:
    """Wait until `found` returns something true, and return that."""
    deadline = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline, f"not in {SECONDS:g} s: {what}\n{show()}"
        time.sleep(0.05)
    return value


def training(name: str, namespace: str, model: str = "digits") -> dict[str, Any]:
    """Return the first example under another name."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples/01-training.yaml").read_text())
    spec = {**manifest["spec"], "modelName": model}
    return {**manifest, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def deployment(name: str, namespace: str, version: str) -> dict[str, Any]:
    """Return a ModelDeployment that keeps nothing warm."""
    spec = {
        "modelVersionName": version,
        "server": {"drainSeconds": SERVER.drain_seconds},
        "rollout": {"warmStableSeconds": 0},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def condition(raw: dict[str, Any], kind: str) -> tuple[str, str]:
    """Return status and reason of a condition, empty if there is none."""
    for entry in (raw.get("status") or {}).get("conditions") or ():
        if entry["type"] == kind:
            return entry["status"], entry["reason"]
    return "", ""


def _inherited() -> dict[str, str]:
    """Return our environment, but let operators keep bytecode: tests start hundreds of them."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass
class Operator:
    """One operator process for one namespace; its Lease is there, too."""

    cluster: Cluster
    namespace: str
    folder: Path
    name: str
    kubeconfig: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Configuration besides namespace and Lease."""
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)
    port: int = field(init=False)
    starts: int = 0

    def start(self) -> "Operator":
        """Start the process; a second start continues its log."""
        config = self.folder / f"{self.name}.yaml"
        settings = {
            "namespaces": [self.namespace],
            "lease": {"name": LEASE_NAME, "namespace": self.namespace, **LEASE},
            "stores": [STORE],
            **self.settings,
        }
        config.write_text(yaml.safe_dump(settings))
        self.port = free_ports(1)[0]
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "default", "-m", "modelyard"],
                env=_inherited()
                | {
                    "PYTHONPATH": str(ROOT / "operator"),
                    "KUBECONFIG": str(self.kubeconfig),
                    "MODELYARD_CONFIG": str(config),
                    "MODELYARD_HTTP_PORT": str(self.port),
                    "POD_UID": self.name,
                }
                | self.environment,
                stdout=log,
                stderr=log,
            )
        return self

    def kill(self) -> None:
        """Kill it, as a node that dies would."""
        self.process.kill()
        self.process.wait()

    def revive(self) -> None:
        """Start it again if it has ended, as the kubelet would."""
        if self.process.poll() is not None:
            self.start()

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / f"{self.name}.log"

    @property
    def leads(self) -> bool:
        """Whether it holds the Lease."""
        lease = self.cluster.get("Lease", self.namespace, LEASE_NAME)
        return bool(lease) and lease["spec"].get("holderIdentity") == self.name

    def wait_to_lead(self) -> "Operator":
        """Wait until it holds the Lease."""
        until(f"{self.name} leads", lambda: self.leads, self.log_tail)
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text()[-4000:]

    def complaints(self) -> list[str]:
        """Return the lines of its log that no healthy operator writes."""
        lines = self.log.read_text().splitlines() if self.starts else []
        return [line for line in lines if any(word in line for word in FORBIDDEN_IN_LOGS)]
