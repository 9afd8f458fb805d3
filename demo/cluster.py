"""The cluster that the demo and the end-to-end tests run on: kubectl, Helm, images."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("operator", "trainer", "serving", "seaweedfs")


class StepFailed(Exception):  # noqa: N818 - the step failed, not this program
    """A command of the demo failed; the message holds what it printed."""


def run(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its output; raise StepFailed with what it printed."""
    done = subprocess.run(  # noqa: S603 - fixed programs, arguments from this package
        command, input=stdin, env=env, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise StepFailed(f"{' '.join(command[:6])}\n{done.stdout}{done.stderr}".strip())
    return done.stdout


def localcluster(*arguments: str, quiet: bool = False) -> None:
    """Run `python -m localcluster`, letting its progress lines through."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "localcluster", *arguments],
        cwd=ROOT,
        check=False,
        stdout=subprocess.DEVNULL if quiet else None,
    )
    if done.returncode:
        raise StepFailed(f"localcluster {' '.join(arguments)} ended with {done.returncode}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running local cluster."""

    name: str
    env: dict[str, str]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output."""
        return run("kubectl", *arguments, stdin=stdin, env=self.env)

    def get(self, *arguments: str) -> dict[str, Any] | None:
        """Return an object as JSON, or None if it does not exist."""
        text = self.kubectl("get", *arguments, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def apply(self, manifest: str | Path, *arguments: str) -> str:
        """Apply a file, or text, by server-side apply."""
        source = str(manifest) if isinstance(manifest, Path) else "-"
        text = None if isinstance(manifest, Path) else manifest
        flags = ("--server-side", "--force-conflicts", "-f", source)
        return self.kubectl("apply", *flags, *arguments, stdin=text)

    def helm(self, *arguments: str) -> str:
        """Run Helm and return its output."""
        return run("helm", *arguments, env=self.env)

    @contextmanager
    def port_forward(self, namespace: str, target: str, port: int) -> Any:
        """Forward a free loopback port to `target`; yields the local port number."""
        command = ["kubectl", "-n", namespace, "port-forward", target, f":{port}"]
        process = subprocess.Popen(  # noqa: S603 - fixed program
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield _forwarded_port(process)
        finally:
            process.terminate()
            process.wait(timeout=10)
            if process.stdout:
                process.stdout.close()


def _forwarded_port(process: subprocess.Popen[str]) -> int:
    """Read the local port that kubectl chose."""
    stream: IO[str] | None = process.stdout
    line = stream.readline() if stream else ""
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    if not found:
        raise StepFailed(f"kubectl port-forward: {line.strip() or 'ended without a word'}")
    return int(found.group(1))


def connect(name: str) -> Cluster:
    """Return the running cluster of that name."""
    exports = run(sys.executable, "-m", "localcluster", "env", "--name", name)
    env = dict(os.environ)
    for key, value in re.findall(r'^export (\w+)="?([^"\n]*)"?$', exports, re.MULTILINE):
        env[key] = os.path.expandvars(value)
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    return Cluster(name, env)


def start(name: str, gpus: int = 4) -> Cluster:
    """Start the cluster, or find it running, with some fake GPUs."""
    localcluster("up", "--name", name, quiet=True)
    localcluster("fake-gpus", str(gpus), "--name", name, quiet=True)
    return connect(name)


def load_images(name: str, images: Sequence[str] = IMAGES) -> None:
    """Build what changed, and load what the cluster does not have."""
    localcluster("images", *images, quiet=True)
    localcluster("load", "--name", name, *images)


def image_content(image: str) -> str:
    """Return what identifies the content of a built image."""
    printed = run(sys.executable, "-m", "localcluster", "images", image)
    return Path(printed.strip().split()[-1]).stem


def kubectl_hint(cluster: Cluster) -> str:
    """Return the line that gives a shell this cluster's kubectl."""
    found = shutil.which("kubectl", path=cluster.env["PATH"]) or "kubectl"
    return f"export KUBECONFIG={cluster.env['KUBECONFIG']} PATH={Path(found).parent}:$PATH"
