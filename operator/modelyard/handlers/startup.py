"""Puts the operator together, runs it, and takes it apart in order."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Retry
from modelyard.handlers.loop import Loop, kindreds, resync
from modelyard.handlers.observe import Observer
from modelyard.handlers.polls import Polls
from modelyard.handlers.references import affected, references
from modelyard.handlers.stores import Stores
from modelyard.handlers.watch import watch
from modelyard.kube import http
from modelyard.kube.apply import Executor
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.connection import find_connection
from modelyard.kube.domain import DomainMetrics
from modelyard.kube.kinds import ROOTS, Key, Raw
from modelyard.kube.lease import Elector, LeaseLost
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.queue import WorkQueue
from modelyard.kube.sweep import fill, sweep

LOG = logging.getLogger("modelyard.startup")
SWEEP_SECONDS = 300.0
MOST_LAG = 5.0


class Operator:
    """One operator process."""

    def __init__(self, config: OperatorConfig, client: Client, metrics: LoopMetrics) -> None:
        self._config = config
        self._client = client
        self._metrics = metrics
        self._stop = asyncio.Event()
        self._filled = False
        self._beat = time.monotonic()
        self._cache = Cache(references)
        self._queue = WorkQueue(metrics)
        identity = os.environ.get("POD_UID") or f"{socket.gethostname()}-{os.getpid()}"
        self._elector = Elector(client, config.lease, identity)
        self._stores = Stores(config)
        self._polls = Polls(config.progress_interval_seconds, self._queue.add)
        metrics.registry.register(DomainMetrics(self._cache))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            LeaseLost: another process may be writing now; this one must end.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        server = await http.serve(self._metrics.registry, self._sick, self._unready, _port())
        tasks = [
            asyncio.create_task(watch(self._cache, self._config.namespaces, self._stop)),
            asyncio.create_task(self._heartbeat()),
            asyncio.create_task(self._lead()),
        ]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._stop.set()
            await _end([stopped, *tasks[1:]])
            await self._elector.release()
            await _end(tasks)
            await server.cleanup()

    async def _lead(self) -> None:
        """Wait for leadership, then reconcile for as long as it lasts."""
        await self._refresh()
        if self._config.lease.enabled:
            self._client.guard(self._elector.gate)
            await self._elector.acquire()
            LOG.info("leading")
        self._metrics.leader.labels(self._config.lease.name).set(1)
        self._cache.listen(self._enqueue)
        await self._refresh()
        for kind in ROOTS:
            for key in self._cache.keys(kind.name):
                self._queue.add(key)
        async with asyncio.TaskGroup() as group:
            if self._config.lease.enabled:
                group.create_task(self._elector.keep())
            self._start(group)

    def _start(self, group: asyncio.TaskGroup) -> None:
        observer = Observer(self._config, self._client, self._cache, self._stores, self._polls)
        executor = Executor(self._client, self._cache, self._stores)
        loop = Loop(self._cache, self._queue, executor, self._metrics, kindreds(observer))
        for _ in range(self._config.workers):
            group.create_task(loop.work())
        roots = [kind.name for kind in ROOTS]
        group.create_task(resync(self._cache, self._queue, roots, self._config.resync_seconds))
        group.create_task(self._polls.run())
        group.create_task(self._sweep())

    def _enqueue(self, key: Key, raw: Raw) -> None:
        deleting = bool(raw["metadata"].get("deletionTimestamp"))
        for target in affected(self._cache, key, raw):
            self._queue.add(target, urgent=deleting)

    async def _refresh(self) -> None:
        """Fill the cache from LISTs, trying for as long as it takes."""
        while True:
            try:
                await fill(self._client, self._cache, self._config.namespaces)
            except Retry as retry:
                LOG.info("the API server is not ready: %s", retry)
                await asyncio.sleep(retry.after or 1)
                continue
            self._filled = True
            return

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with contextlib.suppress(Retry):
                await sweep(self._client, self._cache, self._config.namespaces, self._metrics)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            now = time.monotonic()
            self._metrics.lag.set(max(0.0, now - self._beat - 0.5))
            self._beat = now

    def _sick(self) -> str:
        lag = time.monotonic() - self._beat
        return f"the event loop has stood still for {lag:.0f} s" if lag > MOST_LAG else ""

    def _unready(self) -> str:
        return "" if self._filled else "the caches are not filled yet"


def _port() -> int:
    return int(os.environ.get("MODELYARD_HTTP_PORT", str(http.PORT)))


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end; what they raised was looked at before."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_operator(config: OperatorConfig) -> int:
    """Run the operator; return the exit code."""
    metrics = LoopMetrics(CollectorRegistry())
    connection = await find_connection()
    code = 0
    async with Client(connection, config.client, metrics) as client:
        try:
            await Operator(config, client, metrics).run()
        except* LeaseLost as lost:
            LOG.warning("ending: %s", lost.exceptions[0])
            code = 1
    return code
