"""Every class of fault between operator and API server: the story ends as without it.

The operator outlives them all: it starts once. `MODELYARD_FAULTS=all` (as `make prove` sets it)
goes through every class; without it, a sample is tried.
"""

import os
import random
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
from tests.api.operators import LEASE, LONG_LEASE
from tests.api.proxy import Door
from tests.api.stage import Workshop

pytest_plugins = ["tests.plugins.seaweed"]
pytestmark = [pytest.mark.api, pytest.mark.timeout(3600)]

AT_ONCE = 4
SHARE = 2
"""One of so many classes of each group is tried."""
SEED = 2
SOON = {"Retry-After": "1"}

Injection = Callable[[], Any]
"""Makes the fault of one door."""

WRITES: dict[str, Injection] = {
    **{
        f"{status} to a third of the writes": partial(
            lambda status: Answer(
                status, some(0.33, faults.writes), headers=SOON if status == 429 else {}
            ),
            status,
        )
        for status in (401, 409, 410, 422, 429, 500, 503, 504)
    },
    "504 to a third of the writes, which had their effect": lambda: Answer(
        504, some(0.33, faults.writes), after=True
    ),
    "a third of the answers to writes is cut": lambda: Cut(some(0.33, faults.writes)),
    "a fifth of the writes is never answered": lambda: Hang(some(0.2, faults.writes)),
}
READS: dict[str, Injection] = {
    "401 to a third of the reads": lambda: Answer(401, some(0.33, faults.reads)),
    "410 to a third of the reads": lambda: Answer(410, some(0.33, faults.reads)),
    "429 to a third of the reads": lambda: Answer(429, some(0.33, faults.reads), headers=SOON),
    "503 to a third of the reads": lambda: Answer(503, some(0.33, faults.reads)),
    "a third of the answers to reads is cut": lambda: Cut(some(0.33, faults.reads)),
    "the first LISTs are repeated twenty times": lambda: StaleList(20),
}
WATCHES: dict[str, Injection] = {
    "401 to a third of the watches": lambda: Answer(401, some(0.33, faults.watches)),
    "404 to the first two watches": lambda: Answer(404, first(2, faults.watches)),
    "410 to a third of the watches": lambda: Answer(410, some(0.33, faults.watches)),
    "503 to a third of the watches": lambda: Answer(503, some(0.33, faults.watches)),
}
EVENTS: dict[str, Injection] = {
    "every third event is lost": lambda: Drop(3),
    "every event comes twice, with an old one": Duplicate,
    "every watch falls silent after three events": lambda: HalfOpen(3),
    "every fifth event is a 410": lambda: Expire(5),
    "every fifth event is a 500": lambda: Expire(5, 500),
}
GROUPS = (WRITES, READS, WATCHES, EVENTS)
ALL = {name: injection for group in GROUPS for name, injection in group.items()}
LEASES = {"a fifth of the writes is never answered": LEASE}
"""No write may take longer than the Lease is ours: short Leases where writes wait for nothing."""


def chosen() -> list[str]:
    """Return the classes to try."""
    if os.environ.get("MODELYARD_FAULTS") == "all":
        return list(ALL)
    draw = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    return [name for group in GROUPS for name in draw.sample(list(group), len(group) // SHARE)]


@dataclass(frozen=True)
class Told:
    """A story, and how often its fault happened."""

    story: Story
    happened: int
    starts: int


def install(door: Door, name: str) -> Any:
    fault = ALL[name]()
    (door.watch_faults if name in EVENTS else door.faults).append(fault)
    return fault


@pytest.fixture(scope="module")
def tell(
    workshop: Workshop, golden: Golden, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Told]]:
    """Tell the story with a fault; the stories of all tests that will run are told side by side."""

    def told(name: str) -> Told:
        with workshop.stage("fault") as stage:
            fault = install(stage.door, name)
            stage.start(LEASES.get(name, LONG_LEASE))
            story = Journey(stage, golden.story).tell()
            return Told(story, fault.happened, stage.operator.starts)

    names = [item.callspec.params["name"] for item in request.session.items if _is_one(item)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures: dict[str, Future[Told]] = {name: pool.submit(told, name) for name in names}
        yield lambda name: futures[name].result()
        for future in futures.values():
            future.cancel()


def _is_one(item: Any) -> bool:
    return str(item.path) == __file__ and hasattr(item, "callspec")


@pytest.mark.parametrize("name", chosen())
def test_the_story_ends_as_without_the_fault(
    tell: Callable[[str], Told], golden: Golden, name: str
) -> None:
    told = tell(name)
    assert told.story == golden.story
    assert told.happened > 0
    assert told.starts == 1 or name in LEASES
