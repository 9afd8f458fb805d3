"""The store or the API server is away for a while: everything waits, says so, and goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api import faults
from tests.api.faults import Answer
from tests.api.operators import training, until
from tests.api.stage import Stage, Workshop
from tests.seaweed import Seaweed

pytest_plugins = ["tests.plugins.seaweed"]
pytestmark = pytest.mark.api

TRIES = 2
"""How often each kind of request is refused."""


@contextmanager
def lasting(workshop: Workshop, **play: Any) -> Iterator[Stage]:
    """A stage whose operator must not end before its time."""
    with workshop.stage("outage", **play) as stage:
        stage.start()
        yield stage
        assert stage.operator.starts == 1


@contextmanager
def back_at_the_end(seaweed: Seaweed) -> Iterator[None]:
    """Start the store again when the block ends."""
    try:
        yield
    finally:
        seaweed.start()


def test_a_result_waits_for_a_store_that_is_down(workshop: Workshop) -> None:
    seaweed = workshop.seaweed
    with lasting(workshop, published=seaweed.stop) as stage:
        stage.begin()
        with back_at_the_end(seaweed):
            stage.tier.cluster.create(training("run", stage.namespace))
            stage.wait(
                "the status says that the store is away",
                lambda: (
                    stage.judged("ModelTraining", "run", "Evaluated")
                    == ("Unknown", "StoreUnreachable")
                ),
            )
            assert not stage.live("ModelVersion", "digits-v1")
        stage.wait("it is registered", lambda: stage.phase("ModelVersion", "digits-v1") == "Ready")
        assert stage.live("ModelTraining", "run")["status"]["retries"] == 0


def test_a_deletion_waits_for_a_store_that_is_down(workshop: Workshop) -> None:
    with lasting(workshop) as stage:
        stage.publish()
        with back_at_the_end(workshop.seaweed):
            workshop.seaweed.stop()
            for kind, name, aspect in (
                ("ModelVersion", "digits-v1", "Committed"),
                ("ModelTraining", "run", "Accepted"),
            ):
                stage.tier.cluster.delete(kind, stage.namespace, name)
                stage.wait(
                    f"{name} says why it is still there",
                    lambda place=(kind, name, aspect): (
                        stage.judged(*place)[1] == "StoreUnreachable"
                    ),
                )
        stage.wait("the version is gone", lambda: not stage.live("ModelVersion", "digits-v1"))
        stage.wait("the training is gone", lambda: not stage.live("ModelTraining", "run"))
        keys = list(stage.store.list_keys(f"{stage.namespace}/"))
        assert [k for k in keys if "_registry" not in k and not k.endswith("/fence")] == []


def test_the_operator_outlives_a_restart_of_the_api_server(workshop: Workshop) -> None:
    with lasting(workshop) as stage:
        stage.publish()
        stage.serve()
        server = stage.tier.cluster.server
        server.kill_apiserver()
        server.start_apiserver()
        stage.tier.cluster.create(training("later", stage.namespace))
        stage.wait("it goes on", lambda: stage.phase("ModelVersion", "digits-v2") == "Ready")
        births = stage.tier.recorder.births[stage.namespace]
        assert {key.name: n for key, n in births.items() if n > 1} == {}


@contextmanager
def refused(stage: Stage) -> Iterator[None]:
    """Refuse everything, as an API server does that has not read its roles yet."""
    everything = [Answer(403, faults.anything), Answer(403, faults.leases)]
    stage.door.faults.extend(everything)
    yield
    for fault in everything:
        until("it is refused", lambda fault=fault: fault.happened >= TRIES, stage.operator.log_tail)
        stage.door.faults.remove(fault)


def test_the_leader_outlives_an_api_server_that_refuses_everything_at_first(
    workshop: Workshop,
) -> None:
    with lasting(workshop) as stage:
        stage.publish()
        with refused(stage):
            stage.tier.cluster.create(training("later", stage.namespace))
        stage.wait("it goes on", lambda: stage.phase("ModelVersion", "digits-v2") == "Ready")


def test_an_operator_starts_before_an_api_server_that_refuses_everything_at_first(
    workshop: Workshop,
) -> None:
    with workshop.stage("outage") as stage:
        with refused(stage):
            stage.start()
        stage.publish()
        assert stage.operator.starts == 1
