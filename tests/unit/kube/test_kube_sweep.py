"""What a LIST says about absence, and what it cannot know."""

from typing import Any

from prometheus_client import CollectorRegistry

from modelyard.kube.cache import Cache
from modelyard.kube.client import Listing
from modelyard.kube.kinds import JOB, Kind, key_of
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.sweep import fill, places, sweep
from tests.unit.kube.test_kube_cache import make_child


class Frozen:
    """An API server that shows the same state for ever."""

    def __init__(self, version: int, *objects: dict[str, Any]) -> None:
        self.listing = Listing(objects, version)

    async def list_objects(self, kind: Kind, namespace: str, label: str) -> Listing:
        return self.listing if kind is JOB else Listing((), 0)

    async def list_metadata(self, kind: Kind, namespace: str, label: str) -> Listing:
        return await self.list_objects(kind, namespace, label)


async def swept(cache: Cache, client: Any) -> int:
    """Sweep, and return how many ghosts were found."""
    metrics = LoopMetrics(CollectorRegistry())
    await sweep(client, cache, places(()), metrics)
    return int(metrics.ghosts._value.get())


async def test_a_list_that_is_older_than_our_own_write_hides_nothing() -> None:
    cache, job = Cache(), make_child("Job", "made-by-us", "owner", 7)
    cache.put(job)
    stale: Any = Frozen(6)
    await fill(stale, cache, JOB, "")
    assert await swept(cache, stale) == 0
    assert cache.get(key_of(job))
    assert cache.put(make_child("Job", "made-by-us", "owner", 8)), "it must not count as dead"


async def test_what_a_list_should_show_and_does_not_is_gone() -> None:
    cache, job = Cache(), make_child("Job", "gone", "owner", 7)
    cache.put(job)
    assert await swept(cache, Frozen(7)) == 1
    assert cache.get(key_of(job)) is None


async def test_a_list_of_one_owners_children_says_nothing_of_others() -> None:
    cache = Cache()
    mine, new, other = (
        make_child("Job", name, owner, 7)
        for name, owner in (("mine", "owner"), ("new", "owner"), ("other", "another"))
    )
    cache.put(mine)
    cache.put(other)
    client: Any = Frozen(9, new)
    await fill(client, cache, JOB, "team", owner="owner")
    assert {raw["metadata"]["name"] for raw in cache.objects("Job")} == {"new", "other"}
