"""What the reconcile loop learns of a store that does not answer: a fact or a refusal, in time."""

import asyncio

import pytest

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Refused
from modelyard.api.reasons import Reason
from modelyard.api.store import StoreSettings
from modelyard.handlers.stores import Stores
from modelyard.plan.core import RemoveArtifact, RemoveRun
from modelyard.store import client
from tests.builders import DIGEST
from tests.seaweed import free_ports

ACTIONS = [
    RemoveRun("away", "team", "digits", "t-uid"),
    RemoveArtifact("away", "team", "digits", 1, DIGEST),
]


@pytest.fixture
def stores(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (port,) = free_ports(1)
    away = StoreSettings(name="away", bucket="models", endpoint=f"http://127.0.0.1:{port}")
    return Stores(OperatorConfig(stores=(away,)))


@pytest.mark.parametrize("action", ACTIONS, ids=["run", "artifact"])
def test_a_removal_from_a_store_that_is_away_is_refused_not_repeated_in_silence(stores, action):
    with pytest.raises(Refused) as refused:
        asyncio.run(stores.remove(action))
    assert refused.value.reason is Reason.STORE_UNREACHABLE
    assert "models" in str(refused.value)


def test_questions_to_a_store_that_is_away_are_answered_with_that(stores):
    published = asyncio.run(stores.published("away", "team", "digits", "t-uid"))
    manifest = asyncio.run(stores.manifest("away", "team", "digits", 1, DIGEST))
    assert (published.state, manifest.state) == ("Unreachable", "Unreachable")
    assert published.message
    assert manifest.message


def test_a_store_keeps_its_connection_until_its_credentials_change(stores, monkeypatch):
    made = []
    connect = client.connect
    monkeypatch.setattr(client, "connect", lambda *given: made.append(given) or connect(*given))
    for _ in range(3):
        asyncio.run(stores.published("away", "team", "digits", "t-uid"))
    assert len(made) == 1  # 0.25 s of CPU and megabytes for each more
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "rotated")
    for _ in range(2):
        asyncio.run(stores.published("away", "team", "digits", "t-uid"))
    assert [credentials.secret_key for _, credentials in made] == ["secret", "rotated"]


def test_a_store_that_nobody_configured_is_named(stores):
    with pytest.raises(Refused, match="'other'"):
        asyncio.run(stores.remove(RemoveRun("other", "team", "digits", "t-uid")))
    fact = asyncio.run(stores.published("other", "team", "digits", "t-uid"))
    assert "'other'" in fact.message
