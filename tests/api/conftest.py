"""Fixtures of the tests that run operator processes; a complaint in a log fails its test."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from kubernetes import config

from localcluster.envtest import EnvTest
from tests.api.operators import Cluster, Operator, install_crds

NAMESPACES = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """An API server with the CRDs of this checkout."""
    with EnvTest() as server, config.new_client_from_config(str(server.kubeconfig)) as connection:
        found = Cluster(server, connection)
        install_crds(found)
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A fresh namespace."""
    return cluster.namespace(f"team-{next(NAMESPACES)}")


@pytest.fixture
def make_operator(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., Operator]]:
    """Start operators for the namespace; they end with the test, and their logs must be clean."""
    made: list[Operator] = []

    def make(name: str = "one", kubeconfig: Path | None = None) -> Operator:
        place = kubeconfig or cluster.server.kubeconfig
        made.append(Operator(cluster, namespace, tmp_path, name, place).start())
        return made[-1]

    yield make
    for operator in made:
        operator.end()
    assert {operator.name: operator.complaints() for operator in made} == {
        operator.name: [] for operator in made
    }
