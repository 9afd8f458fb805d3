"""A token bucket: bounds the rate at which the operator asks the API server."""

import asyncio
import time


class TokenBucket:
    """Lets `burst` requests through at once and `rate` per second in the long run, in order."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled = time.monotonic()

    async def take(self) -> None:
        """Wait for the caller's turn.

        A caller that must wait owes its token at once, so that later callers queue behind it.
        """
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
