"""A real cluster with the product installed: once per test run, removed at its end."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from demo import cluster as clusters
from demo import install, steps
from demo.cluster import ROOT, Cluster

NAME = os.environ.get("MODELYARD_E2E_CLUSTER", "yard-test")
KEEP = os.environ.get("MODELYARD_E2E_KEEP") == "1"
SPACE = install.TENANT


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster with store, operator, data and one tenant."""
    if os.geteuid() != 0:
        pytest.skip("the local cluster needs root: run as root, or use `make test-fast`")
    found = clusters.start(NAME)
    clusters.load_images(NAME)
    keys = install.install_store(found)
    install.install_operator(found, keys)
    install.install_tenant(found, keys)
    install.upload_digits(found, keys)
    yield found
    if not KEEP:
        clusters.localcluster("down", "--name", NAME)


@pytest.fixture
def example() -> Callable[..., dict[str, Any]]:
    """Read an example and change it: `example(file, name, change)`."""

    def read(
        file: str, name: str, change: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> dict[str, Any]:
        manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples" / file).read_text())
        manifest["metadata"] = {"name": name, "namespace": SPACE}
        change(manifest["spec"])
        return manifest

    return read


@pytest.fixture
def apply(cluster: Cluster) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Apply an object and delete it when the test ends."""
    applied: list[dict[str, Any]] = []

    def put(manifest: dict[str, Any]) -> None:
        cluster.apply(yaml.safe_dump(manifest))
        applied.append(manifest)

    yield put
    for manifest in reversed(applied):
        name = manifest["metadata"]["name"]
        kind = f"{manifest['kind']}.{manifest['apiVersion'].split('/')[0]}"
        cluster.kubectl(
            "-n", SPACE, "delete", kind.lower(), name, "--ignore-not-found", "--wait=false"
        )


@pytest.fixture
def wait(cluster: Cluster) -> Callable[..., dict[str, Any]]:
    """Wait until a condition of an object has a status and, if given, a reason."""

    def until(kind: str, name: str, type_: str, *, reason: str = "", seconds: float = 180) -> Any:
        def reached(found: dict[str, Any]) -> bool:
            seen = steps.condition(found, type_)
            return seen.get("reason") == reason if reason else steps.holds(found, type_)

        return steps.wait_for(lambda: cluster.get("-n", SPACE, kind, name), reached, seconds)

    return until
