"""Small pods that look at a local cluster from inside."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localcluster import images
from localcluster.cluster import NativeCluster

NAMESPACE = "probe"
SECONDS = 60.0
SERVER = ["python3", "-m", "http.server", "8080"]
LOOKUP = "import socket; print(socket.gethostbyname('kubernetes.default'))"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Probe:
    """One namespace under Pod Security, for pods of the base image."""

    cluster: NativeCluster

    def make_namespace(self) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": NAMESPACE, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.until(lambda: bool(self.kubectl("get", "sa", "default", "--ignore-not-found")), True)

    def apply(self, manifest: Manifest) -> None:
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *arguments)

    def phase(self, name: str) -> str:
        return self.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")

    def ready(self, name: str) -> None:
        """Wait until a pod is Ready."""
        self.kubectl("wait", f"pod/{name}", "--for=condition=Ready", f"--timeout={SECONDS:.0f}s")

    def log(self, name: str) -> str:
        return self.kubectl("logs", name)

    def until(self, found: Callable[[], Any], expected: Any, seconds: float = SECONDS) -> None:
        """Wait until what is found is what is expected."""
        deadline = time.monotonic() + seconds
        while (seen := found()) != expected:
            assert time.monotonic() < deadline, f"expected {expected!r}, found {seen!r}"
            time.sleep(0.2)

    def pod(self, name: str, command: list[str], gpus: int = 0) -> Manifest:
        """Return a pod that runs one command of the base image."""
        container = {
            "name": "main",
            "image": images.BASE,
            "command": command,
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        if gpus:
            container["resources"] = {"limits": {"nvidia.com/gpu": gpus}}
        security = {"runAsNonRoot": True, "runAsUser": 65532}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
            "spec": {
                "restartPolicy": "OnFailure",
                "terminationGracePeriodSeconds": 0,
                "securityContext": {**security, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
            },
        }

    def service(self, name: str) -> Manifest:
        """Return the Service of a pod that runs SERVER."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
