"""Holding a stopping server until nobody asks it any more.

The kubelet calls `/drain` as the server container's preStop hook, and stops the server when it is
answered. Endpoints of a stopping pod disappear at the same time, but proxies learn of it later:
so requests keep coming for some seconds, and each of them deserves its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelyard.sentinel.server import Gone, Silent

STILL_SECONDS = 1.0
"""How long the request counter must stand still."""
SLACK_SECONDS = 5.0
"""What a drain may last beyond twice `drainSeconds`: who keeps a REST connection busy never leaves
by himself, and repeats a request when the server closes it."""
INTERVAL = 0.2
"""Seconds between two readings of the counter."""

RequestCounter = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain ended."""

    seconds: float
    """How long it took."""
    quiet: bool
    """False if requests were still coming when the bound was reached."""
    reason: str


async def drain(count: RequestCounter, drain_seconds: float) -> Drained:
    """Wait until a stopping server may be stopped.

    Endpoints get `drain_seconds` to propagate; then `count`, the requests of others that the server
    has answered, must stand still for a second. A request that runs longer than that is not seen
    by a counter of answers: `drainSeconds` should exceed the longest one. Ends after
    `2 * drain_seconds + 5` seconds at the latest, and at once if the server is gone.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    deadline = start + 2 * drain_seconds + SLACK_SECONDS
    await asyncio.sleep(drain_seconds)
    try:
        quiet = await _stands_still(count, deadline)
    except Gone:
        return Drained(clock() - start, True, "the server has stopped")
    reason = "no more requests" if quiet else "requests were still coming at the deadline"
    return Drained(clock() - start, quiet, reason)


async def _stands_still(count: RequestCounter, deadline: float) -> bool:
    """Wait until the counter stands still; return False if it never did before `deadline`."""
    clock = asyncio.get_running_loop().time
    last, since = await _reading(count), clock()
    while clock() - since < STILL_SECONDS:
        if clock() >= deadline:
            return False
        await asyncio.sleep(INTERVAL)
        now = await _reading(count)
        if now is None or now != last:
            last, since = now, clock()
    return True


async def _reading(count: RequestCounter) -> int | None:
    """Read the counter; None from a server too busy to answer, which is not standing still."""
    try:
        return await count()
    except Silent:
        return None
