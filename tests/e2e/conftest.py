"""A real cluster with the product installed: once per test run, removed at its end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo import cluster as clusters
from demo import install
from demo.cluster import Cluster
from tests.e2e.yard import Yard, assert_clean, operator_log
from tests.machine import obstacle

NAME = os.environ.get("MODELYARD_E2E_CLUSTER", "yard-test")
KEEP = os.environ.get("MODELYARD_E2E_KEEP") == "1"
READ = f"{{{install.BUCKET}/datasets/,no-such-bucket/}}"


@dataclass(frozen=True)
class Installed:
    """A cluster with the product, and the store's credentials."""

    cluster: Cluster
    keys: tuple[str, str]


def pytest_runtest_setup() -> None:
    """Skip the tier where no node can run; from one place, so that the reason is one line."""
    if lacking := obstacle():
        pytest.skip(lacking)


@pytest.fixture(scope="session")
def installed(pytestconfig: pytest.Config) -> Iterator[Installed]:
    """The cluster with store, operator and data; how it comes up is shown."""
    visibly = pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    try:
        with visibly():
            found = _install()
        yield found
    finally:
        with visibly():
            _remove()


def _remove() -> None:
    if KEEP:
        print(f"\nkept: `python -m localcluster down --name {NAME}` removes it")
    else:
        clusters.localcluster("down", "--name", NAME)


def _install() -> Installed:
    if not KEEP:  # what an interrupted run left is in no known state
        clusters.localcluster("down", "--name", NAME)
    cluster = clusters.start(NAME)
    clusters.load_images(NAME)
    keys = install.install_store(cluster)
    # One bucket that may be read and does not exist.
    install.install_operator(cluster, keys, "--set", f"stores[0].readPrefixes={READ}")
    install.upload_digits(cluster, keys)
    return Installed(cluster, keys)


@pytest.fixture(scope="module")
def yard(installed: Installed, request: pytest.FixtureRequest) -> Iterator[Yard]:
    """A fresh namespace for the module (its SPACE); the operator's log must be clean after it."""
    cluster, keys = installed.cluster, installed.keys
    found = Yard(cluster, keys, request.module.SPACE)
    cluster.kubectl("delete", "namespace", found.space, "--ignore-not-found", "--wait")
    with found.s3() as client:  # left by an earlier run on a kept cluster
        for key in found.stored(""):
            client.delete_object(Bucket=install.BUCKET, Key=key)
    install.install_tenant(cluster, keys, found.space)
    yield found
    assert_clean(operator_log(cluster))
    cluster.kubectl("delete", "namespace", found.space, "--wait=false")
