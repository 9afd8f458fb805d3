"""Fixtures of the tests that run operator processes; a complaint in a log fails its test."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

from localcluster.envtest import EnvTest
from tests.api.artifacts import model_folder
from tests.api.chart import install_identity, install_policies, kubeconfig
from tests.api.journey import Golden, Journey
from tests.api.operators import Cluster, Operator, install_crds, install_gateway_api
from tests.api.stage import Workshop
from tests.api.tier import Tier, audit_flags, running_tier
from tests.conftest import build
from tests.seaweed import Seaweed

NAMESPACES = count(1)
ADMISSION = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
"""Some clusters (OpenShift) check who may block the deletion of an owner; so do we."""


def pytest_xdist_setupnodes() -> None:
    """Build before there are workers: of what these print, nothing is seen."""
    build("api")


@pytest.fixture(scope="session")
def audit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the API server writes down what operators ask for."""
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="session")
def cluster(audit_folder: Path) -> Iterator[Cluster]:
    """An API server with the CRDs and the admission policies of this checkout."""
    flags = (ADMISSION, *audit_flags(audit_folder))
    with (
        EnvTest(api_server_flags=flags) as server,
        config.new_client_from_config(str(server.kubeconfig)) as connection,
    ):
        found = Cluster(server, connection)
        install_crds(found)
        install_policies(found)
        install_gateway_api(found)
        yield found


@pytest.fixture(scope="session")
def tier(cluster: Cluster, audit_folder: Path) -> Iterator[Tier]:
    """What is watched and played around it."""
    with running_tier(cluster, audit_folder) as found:
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A fresh namespace."""
    return cluster.namespace(f"team-{next(NAMESPACES)}")


@pytest.fixture
def make_operator(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., Operator]]:
    """Start operators for the namespace; they end with the test, and their logs must be clean.

    They have the chart's rights, and no others.
    """
    made: list[Operator] = []
    place = _own_kubeconfig(cluster, namespace, tmp_path)

    def make(name: str = "one", kubeconfig: Path = place, **options: Any) -> Operator:
        made.append(Operator(cluster, namespace, tmp_path, name, kubeconfig, **options).start())
        return made[-1]

    yield make
    for operator in made:
        operator.end()
    assert {operator.name: operator.complaints() for operator in made} == {
        operator.name: [] for operator in made
    }


def _own_kubeconfig(cluster: Cluster, namespace: str, folder: Path) -> Path:
    token = install_identity(cluster, namespace)
    authority = (cluster.server.folder / "ca.crt").read_bytes()
    return kubeconfig(folder / "operator.kubeconfig", cluster.server.url, authority, token)


@pytest.fixture(scope="session")
def workshop(tier: Tier, seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Makes stages for operators that reach a real store."""
    folder = tmp_path_factory.mktemp("stages")
    model = model_folder(folder / "model")
    return Workshop(tier, seaweed, seaweed.make_bucket(), model, folder)


@pytest.fixture(scope="session")
def golden(workshop: Workshop) -> Golden:
    """The story without any fault, and the writes that it took."""
    with workshop.stage("golden") as stage:
        stage.operator.start()
        story = Journey(stage).tell()
        return Golden(story, tuple(stage.door.writes()))
