"""Runs requests on worker threads and, when allowed, several of one kind in one run.

Greedy: a free worker takes what is queued. An idle server answers at once, so nobody waits for
company (unless `batch_timeout_micros` says so); the busier it is, the larger the batches.

    event loop:  run() ─> queue ─┬─> groups ─> program ─┬─> futures     short runs
    worker thread:               └─> groups ─> program ─┘               all others

Runs that are known to be short stay on the event loop: two changes of thread, and of the
interpreter's lock, would cost more than they take.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from grpc import StatusCode

from modelyard_serving.configuration import Batching
from modelyard_serving.errors import RequestError, invalid
from modelyard_serving.metrics import Metrics
from modelyard_serving.servable import Feeds, Fetches, Program
from modelyard_serving.signatures import Array

DELIVERY_SECONDS = 0.001
"""Results wait at most about this long for the other runs that one worker took."""

SHORT_SECONDS = 0.0005
"""Longest run that the event loop does itself; the JSON of a request may take it as long."""

STRETCH_SECONDS = 0.002
"""Longest that the event loop computes before it looks at its connections again."""

MICROS = 1e6


@dataclass(slots=True, eq=False)
class Outcome:
    """What a run gave: outputs and the seconds it took, or an error."""

    outputs: Fetches = field(default_factory=list)
    seconds: float = 0.0
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Job:
    program: Program
    feeds: Feeds
    future: asyncio.Future[Outcome]
    queued: float
    rows: int
    """Rows of the first dimension; 0 when the job must run alone."""

    def kind(self) -> tuple[object, ...]:
        """What jobs of one batch have in common."""
        if not self.rows:
            return (id(self),)
        return (id(self.program), *(feed.shape[1:] for feed in self.feeds))

    def expected(self) -> float:
        """Return the seconds its part of a run will take; infinite if nobody knows."""
        pace = self.program.pace
        return math.inf if pace is None else pace.expected(self.feeds)

    def remember(self, seconds: float) -> None:
        """Take in how long its part of a run took."""
        if self.program.pace is not None:
            self.program.pace.record(self.feeds, seconds)


class Runner:
    """Accepts runs on the event loop's thread and computes them on its own threads."""

    def __init__(self, metrics: Metrics, batching: Batching | None) -> None:
        self._metrics = metrics
        self._batching = batching
        self._threads = batching.num_batch_threads if batching else 1
        prefix = batching.thread_pool_name if batching else "inference"
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=prefix)
        self._queue: deque[_Job] = deque()
        self._rows = 0
        self._busy = 0
        self._timer: asyncio.TimerHandle | None = None
        self._woken = False

    async def run(self, program: Program, feeds: Feeds) -> Outcome:
        """Compute a program; a cancelled caller's run is dropped if it has not begun.

        Raises:
            RequestError: The graph refused the values, or the queue is full.
        """
        loop = asyncio.get_running_loop()
        rows = self._rows_of(program, feeds)
        job = _Job(program, feeds, loop.create_future(), time.perf_counter(), rows)
        if self._at_once(job):
            (outcome,) = self._outcomes([job], here=True)
        else:
            self._queue.append(job)
            self._rows += rows
            self._wake(loop)
            outcome = await job.future
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def close(self) -> None:
        """End the threads once what they compute is done."""
        self._pool.shutdown(wait=True)

    def _rows_of(self, program: Program, feeds: Feeds) -> int:
        """Return the rows of a request that may share a run, else 0."""
        batching = self._batching
        if batching is None or not program.batchable:
            return 0
        sizes = {feed.shape[0] for feed in feeds}
        rows = int(max(sizes))
        if len(sizes) > 1 or rows == 0:
            return 0
        if rows > batching.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size "
                f"{batching.max_batch_size}"
            )
        if self._rows + rows > batching.max_batch_size * batching.max_enqueued_batches:
            raise RequestError(
                StatusCode.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        return rows

    def _at_once(self, job: _Job) -> bool:
        """Tell whether a run is short, and nothing is gained by looking for company."""
        alone = self._batching is None and not self._busy and not self._queue
        return alone and job.expected() <= SHORT_SECONDS

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the queue as soon as everything that has arrived by now is in it."""
        if not self._woken:
            self._woken = True
            loop.call_soon(self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Compute what is queued, here if all of it is short, else on the workers."""
        self._woken = False
        if self._busy or not self._all_short() or self._wait_seconds() > 0:
            self._start_workers(loop)
            return
        for group in _groups(self._take()):
            _deliver(zip(group, self._outcomes(group, here=True), strict=True))
        if self._queue:
            self._wake(loop)

    def _all_short(self) -> bool:
        expected = [job.expected() for job in self._queue]
        return bool(expected) and (
            max(expected) <= SHORT_SECONDS and sum(expected) <= STRETCH_SECONDS
        )

    def _start_workers(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the queue to free workers, now or when the first in it has waited long enough."""
        while self._queue and self._busy < self._threads:
            wait = self._wait_seconds()
            if wait > 0:
                if self._timer is None:
                    self._timer = loop.call_later(wait, self._timer_fired, loop)
                return
            taken = self._take()
            self._busy += 1
            loop.run_in_executor(self._pool, self._work, loop, taken)

    def _timer_fired(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._start_workers(loop)

    def _wait_seconds(self) -> float:
        batching, first = self._batching, self._queue[0]
        if batching is None or not first.rows or self._rows >= batching.max_batch_size:
            return 0.0
        return batching.batch_timeout_micros / MICROS - (time.perf_counter() - first.queued)

    def _take(self) -> list[_Job]:
        """Remove what one worker computes next: everything, or a full batch for each of several."""
        limit = self._batching.max_batch_size if self._batching else len(self._queue)
        taken: list[_Job] = []
        rows = 0
        while self._queue and rows + self._queue[0].rows <= limit:
            job = self._queue.popleft()
            rows += job.rows
            if not job.future.cancelled():
                taken.append(job)
            if not job.rows and self._threads > 1:
                break
        self._rows -= rows
        return taken

    def _work(self, loop: asyncio.AbstractEventLoop, jobs: list[_Job]) -> None:
        """Compute jobs on a worker's thread; hand the results back in as few wake-ups as fit."""
        done: list[tuple[_Job, Outcome]] = []
        since = time.perf_counter()
        for group in _groups(jobs):
            done.extend(zip(group, self._outcomes(group), strict=True))
            if time.perf_counter() - since > DELIVERY_SECONDS:
                loop.call_soon_threadsafe(_deliver, done)
                done, since = [], time.perf_counter()
        loop.call_soon_threadsafe(self._finished, loop, done)

    def _finished(self, loop: asyncio.AbstractEventLoop, done: list[tuple[_Job, Outcome]]) -> None:
        _deliver(done)
        self._busy -= 1
        self._start_workers(loop)

    def _outcomes(self, group: list[_Job], *, here: bool = False) -> list[Outcome]:
        """Return the group's outcomes; a batch that fails is run again one by one.

        So one caller's bad values do not become another caller's error.
        """
        if self._batching and group[0].rows:
            whole = self._batch(group, self._batching, here=here)
            if whole.error is None:
                for job in group:
                    job.remember(whole.seconds / len(group))
                return list(_split(whole, group))
        return [_alone(job, here=here) for job in group]

    def _batch(self, group: list[_Job], batching: Batching, *, here: bool) -> Outcome:
        """Compute a group in one run; it fails when the outputs cannot be told apart."""
        rows = sum(job.rows for job in group)
        padded = batching.padded(rows)
        self._record(group, rows, padded)
        columns = zip(*(job.feeds for job in group), strict=True)
        joined = [_joined(column, padded) for column in columns]
        whole = _run(group[0].program, joined, here=here)
        if whole.error is None and any(_rows(one) != padded for one in whole.outputs):
            return Outcome(error=RequestError(StatusCode.INTERNAL, "outputs do not count rows"))
        return whole

    def _record(self, group: list[_Job], rows: int, padded: int) -> None:
        now = time.perf_counter()
        for job in group:
            self._metrics.queuing_latency.observe((now - job.queued) * MICROS)
            self._metrics.input_batch_size.observe(job.rows)
        self._metrics.processed_batch_size.observe(padded)
        self._metrics.padding_size.observe(padded - rows)


def _groups(jobs: list[_Job]) -> Iterable[list[_Job]]:
    """Return the jobs that may share a run, in the order of the first of each group."""
    groups: dict[tuple[object, ...], list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.kind(), []).append(job)
    return groups.values()


def _alone(job: _Job, *, here: bool) -> Outcome:
    outcome = _run(job.program, job.feeds, here=here)
    if outcome.error is None:
        job.remember(outcome.seconds)
    return outcome


def _run(program: Program, feeds: Feeds, *, here: bool) -> Outcome:
    started = time.perf_counter()
    try:
        return Outcome(program.run(feeds, here=here), time.perf_counter() - started)
    except Exception as error:
        return Outcome(error=error)


def _deliver(done: Iterable[tuple[_Job, Outcome]]) -> None:
    for job, outcome in done:
        if not job.future.done():
            job.future.set_result(outcome)


def _joined(column: tuple[Array, ...], rows: int) -> Array:
    """Return the arrays one below the other, padded to `rows` with copies of the last row.

    A copy of a real row, as in the original: zeros could be values that the graph refuses.
    """
    missing = rows - sum(len(one) for one in column)
    padding = [column[-1][-1:]] * missing
    return np.concatenate([*column, *padding]) if len(column) + missing > 1 else column[0]


def _rows(output: Array) -> int:
    return output.shape[0] if output.ndim else -1


def _split(whole: Outcome, group: list[_Job]) -> Iterator[Outcome]:
    start = 0
    for job in group:
        rows = slice(start, start + job.rows)
        yield Outcome([output[rows] for output in whole.outputs], whole.seconds)
        start += job.rows
