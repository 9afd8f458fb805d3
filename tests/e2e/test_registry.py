"""`make push`: images go to a real registry, and what comes back is what was built."""

import hashlib
import http.client
import json
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from localcluster import images
from localcluster.binaries import Builder, registry
from localcluster.commands import run
from localcluster.envtest import free_ports
from localcluster.folders import REPOSITORY
from localcluster.readiness import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The loopback port of a running, empty registry."""
    folder = tmp_path_factory.mktemp("registry")
    (found,) = free_ports(1)
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{found}"},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    program = Builder(registry()).ensure() / "registry"
    log = folder / "log.txt"
    with log.open("wb") as output:
        command = [program, "serve", folder / "config.yml"]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_until("no registry", lambda: _answers(found), 30, log.read_text)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(port: int) -> bool:
    try:
        return _get(port, "/v2/")[0] == 200
    except OSError:
        return False


def _get(port: int, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Accept": OCI})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_pushed_image_comes_back_whole(port: int) -> None:
    target = f"localhost:{port}/modelyard"
    printed = run("make", "push", f"REGISTRY={target}", "IMAGES=operator", cwd=REPOSITORY)
    assert f"{target}/operator:dev" in printed.split()
    status, headers, content = _get(port, "/v2/modelyard/operator/manifests/dev")
    assert status == 200
    assert headers["Docker-Content-Digest"] == _digest(content)
    manifest = json.loads(content)
    for blob in (manifest["config"], *manifest["layers"]):
        _, _, bytes_ = _get(port, f"/v2/modelyard/operator/blobs/{blob['digest']}")
        assert (_digest(bytes_), len(bytes_)) == (blob["digest"], blob["size"])
    assert _entrypoint(port, manifest) == ["python", "-m", "modelyard"]


def _entrypoint(port: int, manifest: dict[str, dict[str, str]]) -> list[str]:
    path = f"/v2/modelyard/operator/blobs/{manifest['config']['digest']}"
    found: list[str] = json.loads(_get(port, path)[2])["config"]["Entrypoint"]
    return found


def test_a_pushed_image_is_the_one_that_was_built(port: int) -> None:
    images.push("pause", f"localhost:{port}/modelyard")
    pushed = json.loads(_get(port, "/v2/modelyard/pause/manifests/dev")[2])
    # Its configuration lists the digests of the unpacked layers: equal, however each is packed.
    assert pushed["config"]["digest"] == _built("pause")["config"]["digest"]


def _built(name: str) -> dict[str, dict[str, str]]:
    """Return the manifest in the archive that `images` built."""
    path = images.archive(name)
    member = "blobs/" + images.archive_digest(path).replace(":", "/")
    with tarfile.open(path) as file:
        content = file.extractfile(member)
        assert content is not None
        found: dict[str, dict[str, str]] = json.load(content)
        return found
