"""An event loop in a thread, for what must go on while a test waits: proxies, watches, nodes."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

SECONDS = 60.0
GOODBYE_SECONDS = 0.25
"""How long the other side of a TLS connection may take to say goodbye, too."""

Result = TypeVar("Result")


class Background:
    """Runs coroutines until `close`; a background task that fails makes `close` raise."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="background")
        self._thread.start()
        self._tasks: list[asyncio.Task[Any]] = []

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine until `close`."""

        async def start() -> None:
            self._tasks.append(asyncio.create_task(coroutine))

        self.run(start())

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what was spawned, run what is to be done last, and end the thread."""
        try:
            self.run(self._end(last))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(SECONDS)
            self._loop.close()

    async def _end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        await last()
        await asyncio.sleep(GOODBYE_SECONDS)
        for end in ends:
            if isinstance(end, Exception):
                raise end
