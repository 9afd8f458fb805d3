"""What is made of a plan when its owner is not what the cache says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.apply import Executor
from modelyard.kube.cache import Cache
from modelyard.kube.failures import Conflict
from modelyard.kube.kinds import Key, Raw, key_of
from modelyard.plan.core import Create, Plan
from tests.builders import raw_training
from tests.simulation.model import ApiModel
from tests.simulation.shelf import Shelf
from tests.simulation.twin import FakeClient, FakeEvents, Faults


class Yard:
    """A training whose Job is gone, and an executor that is to make it again."""

    def __init__(self) -> None:
        self.api = ApiModel(lambda: datetime.now(UTC))
        self.cache = Cache()
        parts: Any = FakeClient(self.api, Faults()), self.cache, Shelf(), FakeEvents()
        self.executor = Executor(*parts)
        self.owner = self.api.create("user", raw_training(meta={"name": "run", "uid": ""}))
        self.key = key_of(self.owner)
        self.cache.put(self.owner)
        self.cache.expect_child(self.job())

    def job(self) -> Raw:
        uid = self.owner["metadata"]["uid"]
        meta = {"name": "run-a1", "namespace": self.key.namespace}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                **meta,
                "labels": {LABEL_OWNER_UID: uid},
                "ownerReferences": [{"uid": uid}],
            },
        }

    async def make(self) -> None:
        await self.executor.execute(self.owner, Plan(actions=(Create(self.job()),)))

    @property
    def made(self) -> bool:
        return Key("Job", self.key.namespace, "run-a1") in self.api.objects


async def test_a_lost_child_of_a_living_owner_is_made_again() -> None:
    yard = Yard()
    await yard.make()
    assert yard.made


async def test_nothing_is_made_for_an_owner_whose_end_was_not_heard_of() -> None:
    yard = Yard()
    yard.api.vanish("user", yard.key)
    with pytest.raises(Conflict, match="gone"):
        await yard.make()
    assert not yard.made
    assert yard.cache.get(yard.key) is None


async def test_nothing_is_made_for_the_namesake_of_an_owner() -> None:
    yard = Yard()
    yard.api.vanish("user", yard.key)
    yard.api.create("user", raw_training(meta={"name": "run", "uid": ""}))
    with pytest.raises(Conflict, match="gone"):
        await yard.make()
    assert not yard.made


async def test_an_owner_that_is_being_deleted_is_looked_at_again() -> None:
    yard = Yard()
    held = yard.api.set_finalizers("user", yard.owner, ("held",))
    yard.api.delete("user", yard.key, held["metadata"]["uid"])
    with pytest.raises(Conflict, match="being deleted"):
        await yard.make()
    assert not yard.made
    known = yard.cache.get(yard.key)
    assert known is not None
    assert known["metadata"]["deletionTimestamp"]
