"""The key queue: no duplicates, one worker per key, fair between namespaces, an urgent lane.

After client-go's workqueue: a key added while it is worked on waits until it is done.
"""

import asyncio
import heapq
import time
from collections import OrderedDict, deque

from modelyard.kube.kinds import Key
from modelyard.kube.metrics import QUEUE, LoopMetrics

FIRST_BACKOFF = 0.005
MOST_BACKOFF = 300.0


class WorkQueue:
    """Keys that wait to be reconciled."""

    def __init__(self, metrics: LoopMetrics) -> None:
        self._metrics = metrics
        self._urgent: deque[Key] = deque()
        self._lanes: OrderedDict[str, deque[Key]] = OrderedDict()
        self._waiting: dict[Key, float] = {}
        self._working: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._delayed: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._news = asyncio.Event()

    def add(self, key: Key, urgent: bool = False) -> None:
        """Let the key be reconciled soon; adding it twice is adding it once."""
        if key in self._working:
            self._again.add(key)
            return
        if key in self._waiting:
            return
        self._waiting[key] = time.monotonic()
        lane = self._urgent if urgent else self._lanes.setdefault(key.namespace, deque())
        lane.append(key)
        self._metrics.adds.labels(QUEUE).inc()
        self._metrics.depth.labels(QUEUE).set(len(self._waiting))
        self._news.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Let the key be reconciled after `seconds`, unless it is already due sooner."""
        due = time.monotonic() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, key))
        self._news.set()

    def retry(self, key: Key, after: float | None = None) -> None:
        """Put a failed key back, later each time (5 ms doubling to 300 s)."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._metrics.retries.labels(QUEUE).inc()
        backoff = min(MOST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 30))
        self.add_after(key, max(backoff, after or 0))

    def forget(self, key: Key) -> None:
        """Start the key's back-off anew."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """Wait for the next key; call `done` once it is worked on."""
        while True:
            self._release()
            if self._waiting:
                return self._take()
            self._news.clear()
            pause = self._delayed[0][0] - time.monotonic() if self._delayed else None
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """Say that the key is worked on; it comes again if it was added meanwhile."""
        started = self._working.pop(key)
        self._metrics.work_seconds.labels(QUEUE).observe(time.monotonic() - started)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def oldest_wait(self) -> float:
        """Return for how many seconds the oldest key has waited."""
        if not self._waiting:
            return 0.0
        return time.monotonic() - next(iter(self._waiting.values()))

    def _release(self) -> None:
        """Move keys whose time has come."""
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            due, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _take(self) -> Key:
        """Take an urgent key, else one of the namespace whose turn it is."""
        if self._urgent:
            key = self._urgent.popleft()
        else:
            namespace, lane = next(iter(self._lanes.items()))
            key = lane.popleft()
            self._lanes.move_to_end(namespace)
            if not lane:
                del self._lanes[namespace]
        now = time.monotonic()
        self._metrics.queue_seconds.labels(QUEUE).observe(now - self._waiting.pop(key))
        self._metrics.depth.labels(QUEUE).set(len(self._waiting))
        self._working[key] = now
        return key
