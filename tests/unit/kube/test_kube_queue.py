"""The key queue: no key twice, none at two workers, none forgotten, no namespace starved."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from modelyard.kube.kinds import Key
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.queue import WorkQueue


def key(name: str, namespace: str = "team") -> Key:
    return Key("ModelTraining", namespace, name)


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue(LoopMetrics(CollectorRegistry()))


async def ready(queue: WorkQueue) -> Key:
    return await asyncio.wait_for(queue.get(), 5)


async def nothing(queue: WorkQueue) -> bool:
    getting = asyncio.ensure_future(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    idle = not getting.done()
    getting.cancel()
    return idle


async def test_a_key_added_twice_comes_once(queue: WorkQueue) -> None:
    queue.add(key("a"))
    queue.add(key("a"))
    assert await ready(queue) == key("a")
    queue.done(key("a"))
    assert await nothing(queue)


async def test_a_key_is_at_one_worker_at_a_time_and_comes_again(queue: WorkQueue) -> None:
    queue.add(key("a"))
    await ready(queue)
    queue.add(key("a"))
    assert await nothing(queue)
    queue.done(key("a"))
    assert await ready(queue) == key("a")


async def test_work_that_starts_anew_has_seen_what_was_added(queue: WorkQueue) -> None:
    queue.add(key("a"))
    await ready(queue)
    queue.add(key("a"))
    queue.renew(key("a"))
    queue.done(key("a"))
    assert await nothing(queue)


async def test_namespaces_take_turns(queue: WorkQueue) -> None:
    for number in range(50):
        queue.add(key(str(number), "greedy"))
    queue.add(key("a", "modest"))
    assert "modest" in [(await ready(queue)).namespace for _ in range(2)]


async def test_an_urgent_key_passes_even_if_it_waits_already(queue: WorkQueue) -> None:
    for name in ("a", "b", "c"):
        queue.add(key(name))
    queue.add(key("c"), urgent=True)
    taken = [await ready(queue) for _ in range(3)]
    assert taken == [key("c"), key("a"), key("b")]
    for each in taken:
        queue.done(each)
    assert await nothing(queue)


async def test_each_key_wakes_one_worker(queue: WorkQueue) -> None:
    workers = [asyncio.ensure_future(queue.get()) for _ in range(4)]
    await asyncio.sleep(0)
    for name in ("a", "b"):
        queue.add(key(name))
    for _ in range(3):
        await asyncio.sleep(0)
    assert sorted(w.result() for w in workers if w.done()) == [key("a"), key("b")]
    for worker in workers:
        worker.cancel()


async def test_the_call_of_a_cancelled_worker_goes_to_the_next(queue: WorkQueue) -> None:
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add(key("a"))
    first.cancel()
    assert await asyncio.wait_for(second, 5) == key("a")


async def test_of_two_delays_the_shorter_counts(queue: WorkQueue) -> None:
    queue.add_after(key("a"), 60)
    queue.add_after(key("a"), 0.01)
    assert await ready(queue) == key("a")
    queue.done(key("a"))
    assert await nothing(queue)


async def test_failures_wait_longer_each_time_until_forgotten(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    note: Callable[[Key, float], None] = lambda _, seconds: pauses.append(seconds)  # noqa: E731
    monkeypatch.setattr(queue, "add_after", note)
    for _ in range(40):
        queue.retry(key("a"))
    assert pauses[:3] == [0.005, 0.01, 0.02]
    assert pauses[-1] == 300
    queue.forget(key("a"))
    queue.retry(key("a"), after=7)
    assert pauses[-1] == 7


async def test_a_closed_queue_gives_nothing_out_and_waits_for_the_rest(queue: WorkQueue) -> None:
    queue.add(key("a"))
    queue.add(key("b"))
    working = await ready(queue)
    closing = asyncio.ensure_future(queue.close(5))
    await asyncio.sleep(0)
    assert await nothing(queue)
    assert not closing.done()
    queue.done(working)
    await asyncio.wait_for(closing, 5)
    assert await nothing(queue)


async def test_closing_does_not_wait_for_ever(queue: WorkQueue) -> None:
    queue.add(key("a"))
    await ready(queue)
    await asyncio.wait_for(queue.close(0.01), 5)
