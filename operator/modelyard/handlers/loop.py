"""The reconcile loop: take a key, parse, observe, plan, apply; failures are logged here only."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from modelyard.api.errors import Refused, Retry
from modelyard.handlers.observe import Observer
from modelyard.kube.apply import Executor
from modelyard.kube.cache import Cache
from modelyard.kube.failures import Conflict
from modelyard.kube.kinds import MODEL_DEPLOYMENT, MODEL_TRAINING, MODEL_VERSION, Key, Raw
from modelyard.kube.metrics import LoopMetrics
from modelyard.kube.queue import WorkQueue
from modelyard.plan.core import Create, Plan, Refusal
from modelyard.plan.deployment import plan_deployment
from modelyard.plan.parse import (
    Unreadable,
    parse_deployment,
    parse_training,
    parse_version,
    plan_unreadable,
)
from modelyard.plan.training import plan_training
from modelyard.plan.version import plan_version

LOG = logging.getLogger("modelyard.loop")
BROKEN_RETRY = 30.0
REFUSED_RETRY = 1.0
MOST_ROUNDS = 10
"""Plans of one object in a row; whoever needs more lets others go first."""
FRESH_SECONDS = 1.0
"""For how long an answer of the API server proves that an object is there."""


@dataclass(frozen=True, slots=True)
class Kindred:
    """How one kind is parsed, observed and planned."""

    parse: Callable[[Raw], Any]
    observe: Callable[..., Awaitable[Any]]
    plan: Callable[[Any, Any, datetime], Plan]


def kindreds(observer: Observer) -> dict[str, Kindred]:
    """Return the three kinds by name."""
    return {
        MODEL_TRAINING.name: Kindred(parse_training, observer.training, plan_training),
        MODEL_VERSION.name: Kindred(parse_version, observer.version, plan_version),
        MODEL_DEPLOYMENT.name: Kindred(parse_deployment, observer.deployment, plan_deployment),
    }


@dataclass(slots=True)
class Loop:
    """Workers that turn keys into executed plans."""

    cache: Cache
    queue: WorkQueue
    executor: Executor
    metrics: LoopMetrics
    kinds: dict[str, Kindred]

    async def work(self) -> None:
        """Reconcile keys for ever; run several of these at once."""
        while True:
            key = await self.queue.get()
            try:
                await self._measured(key)
            finally:
                self.queue.done(key)

    async def _measured(self, key: Key) -> None:
        started = time.monotonic()
        active = self.metrics.active.labels(key.kind)
        active.inc()
        try:
            result = await self._reconcile(key)
        finally:
            active.dec()
        self.metrics.reconciles.labels(key.kind, result).inc()
        self.metrics.reconcile_seconds.labels(key.kind).observe(time.monotonic() - started)

    async def _reconcile(self, key: Key) -> str:
        """Run one reconcile; return its result for the metrics."""
        try:
            requeue_after = await self._settle(key)
        except Refused as refused:
            return self._refused(key, refused)
        except Retry as retry:
            return self._retry(key, retry)
        except Exception:
            LOG.exception("reconcile failed by a bug of the operator", extra=_where(key))
            self.metrics.errors.labels(key.kind).inc()
            self.queue.retry(key, BROKEN_RETRY)
            return "error"
        self.queue.forget(key)
        if requeue_after is not None:
            self.queue.add_after(key, requeue_after)
            return "requeue_after"
        return "success"

    async def _settle(self, key: Key) -> float | None:
        """Plan and execute until there is nothing to do; return when to look again.

        The answers to our own writes are in the cache at once, so nothing waits for the watch. A
        refusal is answered by one more plan and then raised: the user must act, not we.
        """
        before, written = None, -math.inf
        for _ in range(MOST_ROUNDS):
            self.queue.renew(key)
            raw = self.cache.get(key)
            if raw is None:
                return None
            plan = await self._plan(key, raw)
            if plan.empty or plan == before:  # done, or only the watch can bring us further
                return plan.requeue_after
            before = plan
            try:
                if await self._effect_first(key, raw, plan):
                    return None
                fresh = time.monotonic() - written < FRESH_SECONDS
                await self.executor.execute(raw, plan, answered=fresh)
                written = time.monotonic() if plan.status is not None else -math.inf
            except Refused as refused:
                await self._answer(key, Refusal(refused.reason, str(refused)))
                raise
        raise Retry(f"not settled after {MOST_ROUNDS} plans; others go first", 1)

    async def _effect_first(self, key: Key, raw: Raw, plan: Plan) -> bool:
        """While others wait, create what the plan wants and let the status say so later.

        That is what a crash after the creation would leave behind, so the next plan goes on from
        there; by then there may be more to say, in the same write.

        Returns:
            Whether the plan was of that kind, and `key` will come again.
        """
        creates = plan.actions and all(isinstance(action, Create) for action in plan.actions)
        if not (creates and plan.status and self.queue.busy) or plan.remove_finalizer:
            return False
        await self.executor.execute(raw, replace(plan, status=None, events=()))
        if self.cache.get(key) is raw:  # else somebody wants something of it, and it comes soon
            self.queue.renew(key)
        self.queue.postpone(key)
        return True

    async def _answer(self, key: Key, refusal: Refusal) -> None:
        """Execute the plan that answers a refusal."""
        raw = self.cache.get(key)
        plan = await self._plan(key, raw, refusal) if raw else Plan()
        if raw and not plan.empty:
            await self.executor.execute(raw, plan)
            self.queue.renew(key)  # our own status must not start the next try before its time

    async def _plan(self, key: Key, raw: Raw, refusal: Refusal | None = None) -> Plan:
        kindred = self.kinds[key.kind]
        resource = kindred.parse(raw)
        now = datetime.now(UTC)
        if isinstance(resource, Unreadable):
            return plan_unreadable(resource, now)
        observed = await kindred.observe(key, raw, resource, refusal)
        return kindred.plan(resource, observed, now)

    def _refused(self, key: Key, refused: Refused) -> str:
        """Try again ever later: what was in the way may have gone."""
        LOG.warning("refused: %s", refused, extra=_where(key))
        self.queue.retry(key, REFUSED_RETRY)
        return "requeue"

    def _retry(self, key: Key, retry: Retry) -> str:
        level = logging.DEBUG if isinstance(retry, Conflict) else logging.INFO
        LOG.log(level, "will try again: %s", retry, extra=_where(key))
        self.queue.retry(key, retry.after)
        return "requeue"


def _where(key: Key) -> dict[str, str]:
    """Return the fields that place a log line."""
    return {"object": f"{key.kind}/{key.namespace}/{key.name}"}


async def resync(cache: Cache, queue: WorkQueue, kinds: list[str], seconds: float) -> None:
    """Look at every object again every so often, spread over the interval's last tenth."""
    while True:
        await asyncio.sleep(seconds)
        keys = [key for kind in kinds for key in cache.keys(kind)]
        for place, key in enumerate(keys):
            queue.add_after(key, seconds / 10 * place / len(keys))
