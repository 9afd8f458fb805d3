"""Every class of fault between operator and API server: the story ends as without it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.api import faults
from tests.api.faults import (
    Answer,
    Cut,
    Drop,
    Duplicate,
    Expire,
    HalfOpen,
    Hang,
    StaleList,
    first,
    some,
)
from tests.api.journey import Golden, Journey, Story
from tests.api.proxy import Door
from tests.api.stage import Workshop

pytest_plugins = ["tests.plugins.seaweed"]
pytestmark = [pytest.mark.api, pytest.mark.timeout(3600)]

AT_ONCE = 4
SOON = {"Retry-After": "1"}

Injection = Callable[[], Any]
"""Makes the fault of one door."""

REQUESTS: dict[str, Injection] = {
    **{
        f"{status} to a third of the writes": partial(
            lambda status: Answer(
                status, some(0.33, faults.writes), headers=SOON if status == 429 else {}
            ),
            status,
        )
        for status in (409, 410, 422, 429, 500, 503, 504)
    },
    "504 to a third of the writes, which had their effect": lambda: Answer(
        504, some(0.33, faults.writes), after=True
    ),
    "410 to a third of the reads": lambda: Answer(410, some(0.33, faults.reads)),
    "429 to a third of the reads": lambda: Answer(429, some(0.33, faults.reads), headers=SOON),
    "503 to a third of the reads": lambda: Answer(503, some(0.33, faults.reads)),
    "a third of the answers to writes is cut": lambda: Cut(some(0.33, faults.writes)),
    "a third of the answers to reads is cut": lambda: Cut(some(0.33, faults.reads)),
    "a fifth of the writes is never answered": lambda: Hang(some(0.2, faults.writes)),
    "503 to a third of the watches": lambda: Answer(503, some(0.33, faults.watches)),
    "410 to the first two watches": lambda: Answer(410, first(2, faults.watches)),
    "the first LISTs are repeated twenty times": lambda: StaleList(20),
}
WATCHES: dict[str, Injection] = {
    "every third event is lost": lambda: Drop(3),
    "every event comes twice, with an old one": Duplicate,
    "every watch falls silent after three events": lambda: HalfOpen(3),
    "every fifth event is a 410": lambda: Expire(5),
}
ALL = {**REQUESTS, **WATCHES}


@dataclass(frozen=True)
class Told:
    """A story, and how often its fault happened."""

    story: Story
    happened: int
    starts: int


def install(door: Door, name: str) -> Any:
    fault = ALL[name]()
    (door.faults if name in REQUESTS else door.watch_faults).append(fault)
    return fault


@pytest.fixture(scope="module")
def tell(
    workshop: Workshop, golden: Golden, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Told]]:
    """Tell the story with a fault; the stories of all tests that will run are told side by side."""

    def told(name: str) -> Told:
        with workshop.stage("fault") as stage:
            fault = install(stage.door, name)
            stage.operator.start()
            story = Journey(stage, golden.story).tell()
            return Told(story, fault.happened, stage.operator.starts)

    chosen = {item.callspec.params["name"] for item in request.session.items if _is_one(item)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures: dict[str, Future[Told]] = {n: pool.submit(told, n) for n in ALL if n in chosen}
        yield lambda name: futures[name].result()
        for future in futures.values():
            future.cancel()


def _is_one(item: Any) -> bool:
    return str(item.path) == __file__ and hasattr(item, "callspec")


@pytest.mark.parametrize("name", ALL)
def test_the_story_ends_as_without_the_fault(
    tell: Callable[[str], Told], golden: Golden, name: str
) -> None:
    told = tell(name)
    assert told.story == golden.story
    assert told.happened > 0
