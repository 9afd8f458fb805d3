"""Puts the operator together, runs it, and takes it apart in order."""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Refused, Retry
from modelyard.handlers.health import Health
from modelyard.handlers.loop import Loop, kindreds, resync
from modelyard.handlers.observe import Observer
from modelyard.handlers.polls import Polls
from modelyard.handlers.references import affected, references
from modelyard.handlers.stores import Stores
from modelyard.handlers.watch import WatchEnded, watch
from modelyard.kube import http
from modelyard.kube.apply import Executor
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.connection import Connection, find_connection
from modelyard.kube.domain import DomainMetrics
from modelyard.kube.events import EventPoster
from modelyard.kube.failures import Forbearance
from modelyard.kube.kinds import OPTIONAL, ROOTS, Key, Kind, Raw
from modelyard.kube.lease import Elector, LeaseLost
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.offered import Offered
from modelyard.kube.queue import WorkQueue
from modelyard.kube.sweep import fill, places, sweep

LOG = logging.getLogger("modelyard.startup")
SETTLE_SECONDS = 2.0
"""How long a LIST of kopf's may take to arrive before the sweep that it asks for."""
REFUSED_SECONDS = 10.0
"""How long the API server may refuse to list a kind before the process ends and says so."""
DRAIN_SECONDS = 5.0
"""How long SIGTERM lets writes under way finish."""


class Operator:
    """One operator process."""

    def __init__(
        self, config: OperatorConfig, client: Client, connection: Connection, metrics: LoopMetrics
    ) -> None:
        self._config = config
        self._client = client
        self._connection = connection
        self._metrics = metrics
        self._stop = asyncio.Event()
        self._relisted = asyncio.Event()
        self._cache = Cache(references)
        self._offered = Offered(client, self._cache)
        self._queue = WorkQueue(metrics)
        self._health = Health(metrics, self._queue)
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
        self.take_signals()
        server = await http.serve(
            self._metrics.registry, self._health.sick, self._health.unready, _port()
        )
        work = [asyncio.create_task(task) for task in (self._health.watch(), self._follow())]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*work, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._queue.close(DRAIN_SECONDS)
            await self._elector.release()
            await _end([stopped, *work])
            await server.cleanup()

    def take_signals(self) -> None:
        """Let SIGTERM and SIGINT end `run`: it finishes its writes and gives the Lease back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _follow(self) -> None:
        """Fill the cache, then watch, and lead once it is our turn."""
        await self._refresh()  # also waits for the CRDs: kopf never notices ones that come later
        self._health.filled()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._offered.look_again())
            for kind in OPTIONAL:
                for namespace in self._config.namespaces or ("",):
                    group.create_task(self._offered.follow(kind, namespace))
            group.create_task(self._lead(group))

    async def _watch(self) -> None:
        """Keep the cache up to date; the end of this is the end of the process."""
        await watch(
            self._connection,
            self._cache,
            self._config.namespaces,
            self._relisted.set,
            self.take_signals,
        )

    async def _lead(self, group: asyncio.TaskGroup) -> None:
        """Wait for leadership, then reconcile for as long as it lasts."""
        if self._config.lease.enabled:
            self._client.guard(self._elector.gate)
            await self._elector.acquire()
            group.create_task(self._elector.keep())
        LOG.info("leading")
        self._metrics.leader.labels(self._config.lease.name).set(1)
        self._cache.listen(self._enqueue)
        await self._refresh()
        self._cache.lead()
        self._start(group)
        for kind in ROOTS:
            for key in self._cache.keys(kind.name):
                self._queue.add(key)

    def _start(self, group: asyncio.TaskGroup) -> None:
        observer = Observer(
            self._config, self._client, self._cache, self._stores, self._polls, self._offered
        )
        events = EventPoster(self._client, self._queue.lull)
        executor = Executor(self._client, self._cache, self._stores, events)
        loop = Loop(self._cache, self._queue, executor, self._metrics, kindreds(observer))
        for _ in range(self._config.workers):
            group.create_task(loop.work())
        roots = [kind.name for kind in ROOTS]
        group.create_task(resync(self._cache, self._queue, roots, self._config.resync_seconds))
        group.create_task(events.run())
        group.create_task(self._polls.run())
        group.create_task(self._sweep())

    def _enqueue(self, key: Key, raw: Raw) -> None:
        deleting = bool(raw["metadata"].get("deletionTimestamp"))
        for target in affected(self._cache, key, raw):
            self._queue.add(target, urgent=deleting)

    async def _refresh(self) -> None:
        """Fill the cache from LISTs, trying each for as long as it takes.

        Raises:
            Refused: the right to list a kind is missing.
        """
        await _insist(self._offered.look)
        for kind, namespace in self._places():
            await _insist(functools.partial(fill, self._client, self._cache, kind, namespace))

    def _places(self) -> list[tuple[Kind, str]]:
        return places(self._config.namespaces, self._offered.kinds)

    async def _sweep(self) -> None:
        """Compare the cache with the API server before each resync, and after LISTs of kopf's."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._relisted.wait(), self._config.resync_seconds / 2)
            await asyncio.sleep(SETTLE_SECONDS)
            self._relisted.clear()
            try:
                await sweep(self._client, self._cache, self._places(), self._metrics)
            except (Retry, Refused) as obstacle:
                LOG.warning("a sweep broke off: %s", obstacle)


async def _insist(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask the API server for as long as it takes.

    Raises:
        Refused: it has refused for too long.
    """
    forbearance = Forbearance(REFUSED_SECONDS)
    while True:
        try:
            await ask()
            return
        except Retry as retry:
            forbearance.answered()
            LOG.info("the API server is not ready: %s", retry)
            await asyncio.sleep(retry.after or 1)
        except Refused as refused:
            forbearance.refused(refused)
            await asyncio.sleep(1)


def _port() -> int:
    return int(os.environ.get("MODELYARD_HTTP_PORT", str(http.PORT)))


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end; what they raised was looked at before."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_operator(config: OperatorConfig) -> int:
    """Run the operator; return the exit code: 0 stopped, 1 Lease or watch lost, 2 refused.

    Raises:
        Broken: there is no way to the API server.
    """
    metrics = LoopMetrics(CollectorRegistry())
    connection = await find_connection()
    async with Client(connection, config.client, metrics) as client:
        operator = Operator(config, client, connection, metrics)
        code = await _run(operator)
    await connection.closed()
    return code


async def _run(operator: Operator) -> int:
    """Run, and turn the ways to end into exit codes and one line each."""
    codes = [0]
    try:
        await operator.run()
    except* LeaseLost as lost:
        codes += [_ending(error, 1) for error in lost.exceptions]
    except* Refused as refused:
        codes += [_ending(error, 2) for error in refused.exceptions]
    except* (WatchEnded, aiohttp.ClientError, TimeoutError) as gone:
        codes += [_ending(error, 1) for error in gone.exceptions]
    return max(codes)


def _ending(error: Exception, code: int) -> int:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    LOG.error("ending: %s", error)
    return code
