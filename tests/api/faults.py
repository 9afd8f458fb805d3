"""The faults that tests put into a door of the proxy; each belongs to one door."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.api.proxy import Exchange, Reply, Request, as_event

SEED = 7
Choice = Callable[[Request], bool]


def some(share: float, choice: Choice) -> Choice:
    """Choose a share of the requests that `choice` picks, at random but repeatably.

    A fixed rhythm would hit the same write of each try for ever, which no network does.
    """
    draw = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    return lambda request: choice(request) and draw.random() < share


def first(times: int, choice: Choice) -> Choice:
    """Choose the first requests that `choice` picks."""
    seen = Counter[str]()

    def chosen(request: Request) -> bool:
        if not choice(request):
            return False
        seen["all"] += 1
        return seen["all"] <= times

    return chosen


def once_each(choice: Choice) -> Choice:
    """Choose the first request to each path, of those that `choice` picks."""
    seen = set[str]()

    def chosen(request: Request) -> bool:
        if not choice(request) or request.path in seen:
            return False
        seen.add(request.path)
        return True

    return chosen


def writes(request: Request) -> bool:
    """Choose writes, Leases apart."""
    return request.write


def reads(request: Request) -> bool:
    """Choose GETs and LISTs, Leases apart."""
    return request.read


def watches(request: Request) -> bool:
    """Choose watches, Leases apart."""
    return request.watch and not request.lease


def leases(request: Request) -> bool:
    """Choose what is about leadership."""
    return request.lease


def anything(request: Request) -> bool:
    """Choose every request, Leases apart."""
    return not request.lease


@dataclass
class Answer:
    """Answers in the API server's place."""

    status: int
    choice: Choice
    after: bool = False
    """Whether the request has its effect first: the answer is what got lost."""
    headers: dict[str, str] = field(default_factory=dict)
    happened: int = 0

    def wants(self, request: Request) -> bool:
        """Ask the choice."""
        return self.choice(request)

    async def happen(self, exchange: Exchange) -> Reply | None:
        """Answer."""
        self.happened += 1
        if self.after:
            await exchange.forward()
        return Reply.failure(self.status, exchange.request, **self.headers)


@dataclass
class Cut:
    """Ends the connection in the middle of an answer."""

    choice: Choice
    happened: int = 0

    def wants(self, request: Request) -> bool:
        """Ask the choice."""
        return self.choice(request)

    async def happen(self, exchange: Exchange) -> Reply | None:
        """Send half of the answer."""
        self.happened += 1
        await exchange.cut(await exchange.forward())
        return None


@dataclass
class StaleList:
    """Answers LISTs with what stood there at the first one: a server whose view is frozen.

    It thaws after `times` old answers.
    """

    times: int
    happened: int = 0
    _old: dict[str, Reply] = field(default_factory=dict)

    def freeze(self) -> None:
        """Keep the next answer for each kind."""
        self._old.clear()

    def wants(self, request: Request) -> bool:
        """Choose LISTs of objects."""
        return request.read and "limit" in request.query and self.happened < self.times

    async def happen(self, exchange: Exchange) -> Reply | None:
        """Answer with what is kept, keep it if nothing is."""
        key = f"{exchange.request.path} {sorted(exchange.request.query.items())}"
        if key not in self._old:
            self._old[key] = await exchange.forward()
        else:
            self.happened += 1
        return self._old[key]


@dataclass
class Kill:
    """Kills the operator before or after its `at`-th write (from 1), once; Events do not count."""

    kill: Callable[[], None]
    at: int
    after: bool
    happened: Request | None = None
    _writes: int = 0

    def wants(self, request: Request) -> bool:
        """Count writes."""
        if not request.write or request.event:
            return False
        self._writes += 1
        return self._writes == self.at

    async def happen(self, exchange: Exchange) -> Reply | None:
        """Kill, and let the write have its effect or not."""
        self.happened = exchange.request
        if self.after:
            await exchange.forward()
        self.kill()
        return None


@dataclass
class Drop:
    """Loses each `step`-th watch event; bookmarks tell nothing and do not count."""

    step: int
    happened: int = 0
    _seen: int = 0

    async def event(self, request: Request, line: bytes) -> list[bytes]:
        """Pass the line or not."""
        if as_event(line)["type"] == "BOOKMARK":
            return [line]
        self._seen += 1
        if self._seen % self.step:
            return [line]
        self.happened += 1
        return []


@dataclass
class Duplicate:
    """Sends every watch event twice, and an old one of the same watch besides."""

    happened: int = 0
    _old: dict[str, bytes] = field(default_factory=dict)

    async def event(self, request: Request, line: bytes) -> list[bytes]:
        """Return the line twice, and then an old one."""
        self.happened += 1
        old = self._old.setdefault(request.path, line)
        return [line, line, old]


@dataclass
class HalfOpen:
    """Watches that say nothing more after some events each, and do not end either."""

    after: int
    happened: int = 0
    _seen: Counter[int] = field(default_factory=Counter)

    async def event(self, request: Request, line: bytes) -> list[bytes]:
        """Pass the line, or wait for ever."""
        self._seen[id(request)] += 1
        if self._seen[id(request)] > self.after:
            self.happened += 1
            await asyncio.Event().wait()
        return [line]


@dataclass
class Expire:
    """Each `step`-th watch event is lost, and the watch ends because its version is too old."""

    step: int
    code: int = 410
    """What the watch says; 410 means that its version is too old."""
    happened: int = 0
    _seen: int = 0

    async def event(self, request: Request, line: bytes) -> list[bytes]:
        """Pass the line, or say that the watch has expired."""
        self._seen += 1
        if self._seen % self.step:
            return [line]
        self.happened += 1
        status = {"kind": "Status", "status": "Failure", "code": self.code}
        return [json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"]


@dataclass
class Hang:
    """Takes requests and never answers them."""

    choice: Choice
    happened: int = 0

    def wants(self, request: Request) -> bool:
        """Ask the choice."""
        return self.choice(request)

    async def happen(self, exchange: Exchange) -> Reply | None:
        """Wait until the other side gives up."""
        self.happened += 1
        await asyncio.Event().wait()
        return None
