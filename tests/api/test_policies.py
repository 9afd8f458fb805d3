"""The chart's admission policies before a real API server."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from modelyard.api.names import FINALIZER_RUN_DATA
from tests.api.chart import policies
from tests.api.operators import Cluster, Operator, condition, training, until

pytestmark = pytest.mark.api
NUMBERS = count(1)


@pytest.fixture
def guarded(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace for which the policies are in force."""
    made = list(policies(namespace))
    for path, manifest in made:
        cluster.call("POST", path, manifest)
    until("the policies are in force", lambda: finalizers(submit(cluster, namespace)))
    yield namespace
    for path, manifest in reversed(made):
        cluster.call("DELETE", f"{path}/{manifest['metadata']['name']}")


def submit(cluster: Cluster, namespace: str, **meta: Any) -> Any:
    """Create a training and return what was stored."""
    manifest = training(f"guarded-{next(NUMBERS)}", namespace)
    return cluster.create({**manifest, "metadata": {**manifest["metadata"], **meta}})


def finalizers(created: Any) -> list[str]:
    return created["metadata"].get("finalizers") or []


def test_a_training_is_born_with_its_finalizer(cluster: Cluster, guarded: str) -> None:
    assert finalizers(submit(cluster, guarded)) == [FINALIZER_RUN_DATA]
    own = submit(cluster, guarded, finalizers=["example.com/mine"])
    assert finalizers(own) == ["example.com/mine"]  # the operator adds its own to these


def test_other_namespaces_are_left_alone(cluster: Cluster, guarded: str) -> None:
    other = cluster.namespace(f"{guarded}-other")
    assert finalizers(submit(cluster, other)) == []


def test_its_job_is_the_first_write_of_the_operator(
    cluster: Cluster, guarded: str, make_operator: Callable[..., Operator]
) -> None:
    created = submit(cluster, guarded)
    name = created["metadata"]["name"]
    make_operator().wait_to_lead()

    def scheduling() -> Any:
        found = cluster.get("ModelTraining", guarded, name)
        return found if condition(found, "Running")[1] == "Scheduling" else None

    found = until("the training has its Job", scheduling)
    writers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
    assert "modelyard" not in writers  # who would have added the finalizer
    assert finalizers(found) == [FINALIZER_RUN_DATA]
