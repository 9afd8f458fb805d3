"""What `/healthz` and `/readyz` answer: a frozen process is restarted, an unfilled one waits."""

import asyncio
import time

from modelyard.kube.metrics import QUEUE, LoopMetrics
from modelyard.kube.queue import WorkQueue

BEAT_SECONDS = 0.5
MOST_LAG = 5.0
MOST_WAIT = 300.0


class Health:
    """Watches the event loop and the queue; belongs to one process."""

    def __init__(self, metrics: LoopMetrics, queue: WorkQueue) -> None:
        self._metrics = metrics
        self._queue = queue
        self._beat = time.monotonic()
        self._filled = False

    def filled(self) -> None:
        """Say that the caches hold what the API server has."""
        self._filled = True

    async def watch(self) -> None:
        """Measure for ever how late the event loop wakes up, and the oldest work."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.monotonic()
            self._metrics.lag.set(max(0.0, now - self._beat - BEAT_SECONDS))
            self._metrics.longest.labels(QUEUE).set(self._queue.longest_work())
            self._beat = now

    def sick(self) -> str:
        """Return why the process should be restarted, empty if it should not."""
        lag = time.monotonic() - self._beat
        if lag > MOST_LAG:
            return f"the event loop has stood still for {lag:.0f} s"
        wait = self._queue.oldest_wait()
        return f"an object has waited for {wait:.0f} s" if wait > MOST_WAIT else ""

    def unready(self) -> str:
        """Return what the process still waits for, empty if for nothing."""
        return "" if self._filled else "the caches are not filled yet"
