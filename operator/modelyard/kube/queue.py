"""The key queue: no duplicates, one worker per key, fair between namespaces, three priorities.

After client-go's workqueue: a key added while it is worked on waits until it is done.

    urgent ──► first in, first out: deletions
    lanes  ──► one per namespace, in turns: whatever changed
    late   ──► once nothing else waits: what has its effect, and only has to say so
"""

import asyncio
import contextlib
import heapq
import time
from collections import OrderedDict, deque

from modelyard.kube.kinds import Key
from modelyard.kube.metrics import QUEUE, LoopMetrics

FIRST_BACKOFF = 0.005
MOST_BACKOFF = 300.0
LATEST = 30.0
"""Seconds after which a late key waits no longer for the others."""


class WorkQueue:
    """Keys that wait to be reconciled. Belongs to one event loop."""

    def __init__(self, metrics: LoopMetrics) -> None:
        self._metrics = metrics
        self._urgent: deque[Key] = deque()
        self._lanes: OrderedDict[str, deque[Key]] = OrderedDict()
        self._waiting: dict[Key, float] = {}
        self._working: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._late: dict[Key, float] = {}
        self._late_again: set[Key] = set()
        self._delayed: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._failures: dict[Key, int] = {}
        self._idlers: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._calm = asyncio.Event()
        self._calm.set()
        self._lull = asyncio.Event()
        self._lull.set()

    def add(self, key: Key, urgent: bool = False) -> None:
        """Let the key be reconciled soon; adding it twice is adding it once."""
        if key in self._working:
            self._again.add(key)
            return
        if urgent:
            self._urgent.append(key)
        if key in self._waiting:
            return
        if not urgent:
            self._lanes.setdefault(key.namespace, deque()).append(key)
        self._waiting[key] = self._late.pop(key, time.monotonic())
        self._added()

    def postpone(self, key: Key) -> None:
        """Let the key be reconciled once no other waits, or soon if it is added before."""
        if key in self._working:
            self._late_again.add(key)
        elif key not in self._waiting and key not in self._late:
            self._late[key] = time.monotonic()
            self._added()

    @property
    def busy(self) -> bool:
        """Whether keys wait that are not late ones."""
        return bool(self._waiting)

    async def lull(self, seconds: float) -> None:
        """Wait until no key waits, at most `seconds`: for work that any reconcile may pass."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lull.wait()

    def add_after(self, key: Key, seconds: float) -> None:
        """Let the key be reconciled after `seconds`, unless it is already due sooner."""
        due = time.monotonic() + seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, key))
        self._set_alarm()

    def retry(self, key: Key, after: float | None = None) -> None:
        """Put a failed key back, later each time (5 ms doubling to 300 s), `after` at the least."""
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
        while self._closed or not (self._waiting or self._late):
            idler = asyncio.get_running_loop().create_future()
            self._idlers.append(idler)
            try:
                await idler
            except asyncio.CancelledError:
                if idler.done() and not idler.cancelled():
                    self._wake_one()  # the call that we were woken for is somebody else's now
                raise
        return self._take()

    def renew(self, key: Key) -> None:
        """Say that the work on `key` starts anew: it will see all that was added until now."""
        self._again.discard(key)

    def done(self, key: Key) -> None:
        """Say that the key is worked on; it comes again if it was added meanwhile."""
        started = self._working.pop(key)
        self._metrics.work_seconds.labels(QUEUE).observe(time.monotonic() - started)
        if not self._working:
            self._calm.set()
        late = key in self._late_again
        self._late_again.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif late:
            self.postpone(key)

    async def close(self, seconds: float) -> None:
        """Give out no more keys, and wait at most `seconds` for those that are worked on."""
        self._closed = True
        try:
            await asyncio.wait_for(self._calm.wait(), seconds)
        except TimeoutError:
            return

    def oldest_wait(self) -> float:
        """Return for how many seconds the oldest key has waited."""
        return time.monotonic() - next(iter(self._waiting.values()), time.monotonic())

    def longest_work(self) -> float:
        """Return for how many seconds the oldest key is being worked on."""
        return time.monotonic() - next(iter(self._working.values()), time.monotonic())

    def _added(self) -> None:
        """Count one more key that waits, and find it a worker."""
        self._metrics.adds.labels(QUEUE).inc()
        self._set_depth()
        self._wake_one()

    def _set_depth(self) -> None:
        depth = len(self._waiting) + len(self._late)
        self._metrics.depth.labels(QUEUE).set(depth)
        if depth:
            self._lull.clear()
        else:
            self._lull.set()

    def _wake_one(self) -> None:
        """Wake one idle worker: waking all would cost more than the work."""
        while self._idlers and not self._closed:
            idler = self._idlers.popleft()
            if not idler.done():
                idler.set_result(None)
                return

    def _set_alarm(self) -> None:
        """Let `_release` run when the first delayed key is due."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._delayed:
            pause = max(0.0, self._delayed[0][0] - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(pause, self._release)

    def _release(self) -> None:
        """Move keys whose time has come."""
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            due, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._set_alarm()

    def _take(self) -> Key:
        """Take an urgent key, else one of the namespace whose turn it is, else a late one."""
        now = time.monotonic()
        key, since = self._take_late(now) or self._take_waiting()
        self._metrics.queue_seconds.labels(QUEUE).observe(now - since)
        self._set_depth()
        self._working[key] = now
        self._calm.clear()
        return key

    def _take_late(self, now: float) -> tuple[Key, float] | None:
        """Take the oldest late key if nothing else waits, or if it has been late for too long."""
        if not self._late:
            return None
        key, since = next(iter(self._late.items()))
        if self._waiting and now - since < LATEST:
            return None
        del self._late[key]
        return key, since

    def _take_waiting(self) -> tuple[Key, float]:
        key = self._next()
        while key not in self._waiting:  # it was urgent, too, and is already worked on or done
            key = self._next()
        return key, self._waiting.pop(key)

    def _next(self) -> Key:
        if self._urgent:
            return self._urgent.popleft()
        namespace, lane = next(iter(self._lanes.items()))
        key = lane.popleft()
        self._lanes.move_to_end(namespace)
        if not lane:
            del self._lanes[namespace]
        return key
