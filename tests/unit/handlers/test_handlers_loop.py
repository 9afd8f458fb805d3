"""The reconcile loop: which requests a training costs, and in which order many are served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from modelyard.api.config import OperatorConfig
from modelyard.api.deployment import ModelDeployment
from modelyard.api.names import API_VERSION, FIELD_MANAGER
from modelyard.api.version import ModelVersion
from modelyard.handlers.loop import Loop, kindreds
from modelyard.handlers.observe import Observer
from modelyard.handlers.references import affected, references
from modelyard.kube.apply import Executor
from modelyard.kube.cache import Cache
from modelyard.kube.client import Listing
from modelyard.kube.kinds import Key, Kind, Raw, key_of
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.queue import WorkQueue
from tests.builders import STORE, make_deployment, make_version, raw_training
from tests.simulation.model import ApiModel
from tests.simulation.shelf import Shelf
from tests.simulation.twin import FakeClient, FakeEvents, FakeOffered, FakePolls, Faults


class Recorder(FakeClient):
    """Writes down every request in order; each lets other workers go on, as a real one would."""

    def __init__(self, api: ApiModel) -> None:
        super().__init__(api, Faults())
        self.requests: list[tuple[str, str]] = []

    async def _note(self, verb: str, name: str) -> None:
        self.requests.append((verb, name))
        await asyncio.sleep(0)

    async def list_objects(self, kind: Kind, namespace: str, label: str) -> Listing:
        await self._note("list", kind.name)
        return await super().list_objects(kind, namespace, label)

    async def set_finalizers(self, owner: Raw, finalizers: tuple[str, ...]) -> Raw:
        await self._note("finalizers", owner["metadata"]["name"])
        return await super().set_finalizers(owner, finalizers)

    async def apply_status(self, owner: Raw, status: Raw) -> Raw:
        await self._note("status", owner["metadata"]["name"])
        return await super().apply_status(owner, status)

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        await self._note("get", name)
        return await super().get(kind, namespace, name)

    async def create(self, manifest: Raw) -> Raw:
        await self._note("create", manifest["metadata"]["ownerReferences"][0]["name"])
        return await super().create(manifest)


class Yard:
    """A loop with one worker before an API server in memory."""

    def __init__(self) -> None:
        self.api = ApiModel(lambda: datetime.now(UTC))
        self.client = Recorder(self.api)
        self.cache = Cache(references)
        metrics = LoopMetrics(CollectorRegistry())
        self.queue = WorkQueue(metrics)
        fakes: Any = self.client, self.cache, Shelf()
        polls: Any = FakePolls()
        events: Any = FakeEvents()
        offered: Any = FakeOffered()
        observer = Observer(OperatorConfig(stores=(STORE,)), *fakes, polls, offered)
        executor = Executor(*fakes, events)
        self.loop = Loop(self.cache, self.queue, executor, metrics, kindreds(observer))
        self.cache.listen(self._enqueue)
        self.cache.lead()

    def _enqueue(self, key: Key, raw: Raw) -> None:
        for target in affected(self.cache, key, raw):
            self.queue.add(target)

    def submit(self, name: str) -> Key:
        raw = raw_training(meta={"name": name, "uid": ""})
        self.cache.put(self.api.create("user", raw))
        return key_of(raw)

    def running(self, key: Key) -> str:
        conditions = self.api.get(key)["status"]["conditions"]
        return next(c["reason"] for c in conditions if c["type"] == "Running")

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """Work until nothing waits and nothing is under way."""
        worker = asyncio.create_task(self.loop.work())
        await self.queue.lull(5)
        await self.queue.close(5)
        yield
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def test_a_training_costs_two_writes_until_its_job_exists_and_no_read() -> None:
    yard = Yard()
    key = yard.submit("run")
    async with yard.work():
        assert [verb for verb, _ in yard.client.requests] == ["finalizers", "create", "status"]
        assert yard.running(key) == "Scheduling"


async def test_every_job_exists_before_any_status_says_so() -> None:
    yard = Yard()
    keys = [yard.submit(name) for name in ("a", "b", "c")]
    async with yard.work():
        assert yard.client.requests[:2] == [("finalizers", "a"), ("create", "a")]
        verbs = [verb for verb, _ in yard.client.requests]
        assert verbs == ["finalizers", "create"] * 3 + ["status"] * 3
        assert {yard.running(key) for key in keys} == {"Scheduling"}


async def test_whose_job_may_have_been_made_is_looked_up_before_another_is() -> None:
    yard = Yard()
    key = yard.submit("run")
    yard.client.faults.crash_in = None
    yard.cache.expect_child(_child_of(yard.api.get(key)["metadata"]["uid"]))
    async with yard.work():
        assert ("list", "Job") in yard.client.requests
        assert ("list", "Pod") in yard.client.requests
        assert yard.running(key) == "Scheduling"


async def test_a_change_meanwhile_is_seen_at_once() -> None:
    yard = Yard()
    keys = [yard.submit(name) for name in ("a", "b", "c")]

    async def delete(manifest: Raw) -> Raw:
        made = yard.api.create("operator", manifest, FIELD_MANAGER)
        if yard.client.create is delete:
            yard.client.create = first  # type: ignore[method-assign]
            owner = {**yard.api.get(keys[0])}
            yard.cache.put(yard.api.delete("user", keys[0], owner["metadata"]["uid"]))
        return made

    first, yard.client.create = yard.client.create, delete  # type: ignore[method-assign]
    async with yard.work():
        assert keys[0] not in yard.api.objects


async def test_a_deployment_is_not_asked_for_right_after_it_has_answered() -> None:
    """It may have had children, so it is looked up before it gets one, but not twice."""
    yard = Yard()
    yard.cache.put(yard.api.create("user", _raw("ModelVersion", make_version(meta={"uid": ""}))))
    raw = yard.api.create("user", _raw("ModelDeployment", make_deployment(meta={"uid": ""})))
    yard.cache.put(raw)
    yard.cache.expect_child(_child_of(raw["metadata"]["uid"]))
    async with yard.work():
        verbs = [verb for verb, name in yard.client.requests if name == raw["metadata"]["name"]]
        assert verbs[:3] == ["status", "create", "create"]
        assert "get" not in verbs


def _raw(kind: str, resource: ModelVersion | ModelDeployment) -> Raw:
    return {"apiVersion": API_VERSION, "kind": kind, **resource.dump()}


def _child_of(uid: str) -> Raw:
    from modelyard.api.names import LABEL_OWNER_UID

    return {"metadata": {"labels": {LABEL_OWNER_UID: uid}}}
