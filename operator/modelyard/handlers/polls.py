"""Asks running pods how they are: trainers for progress, sentinels for digest and golden verdict.

Only the leader polls. A pod without an answer becomes a fact too: `reachable=False`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import aiohttp
from pydantic import ValidationError

from modelyard.api.names import PORT_PROGRESS, PORT_SENTINEL
from modelyard.api.run import ProgressReport
from modelyard.api.serve import SentinelStatus
from modelyard.kube.kinds import Key
from modelyard.plan.clock import timestamp
from modelyard.plan.observed import PodView, ProgressFact, SentinelFact

TIMEOUT = aiohttp.ClientTimeout(total=2)
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class _Wish:
    """Somebody wants to know about a pod."""

    key: Key
    pod: PodView
    trainer: bool


class Polls:
    """Facts about pods, renewed for as long as a reconcile asks for them."""

    def __init__(self, interval: float, enqueue: Callable[[Key], None]) -> None:
        self._interval = interval
        self._enqueue = enqueue
        self._wishes: dict[str, _Wish] = {}
        self._progress: dict[str, ProgressFact] = {}
        self._sentinels: dict[str, SentinelFact] = {}

    def progress(self, key: Key, pod: PodView) -> ProgressFact | None:
        """Return the last answer of a trainer's pod, and go on asking it."""
        self._wishes[pod.uid] = _Wish(key, pod, trainer=True)
        return self._progress.get(pod.uid)

    def sentinels(
        self, key: Key, pods: tuple[PodView, ...], judging: bool
    ) -> tuple[SentinelFact, ...]:
        """Return what the sentinels of these pods said.

        Those that have not passed are asked again, and while `judging` all are: their counters are
        what a rollout is judged by.
        """
        for pod in pods:
            known = self._sentinels.get(pod.uid)
            due = judging or known is None or known.golden != "Passed"
            if pod.pod_ip and not pod.deleting and due:
                self._wishes[pod.uid] = _Wish(key, pod, trainer=False)
        found = (self._sentinels.get(pod.uid) for pod in pods)
        return tuple(fact for fact in found if fact is not None)

    def forget(self, uid: str) -> None:
        """Drop what is known of a pod that is gone."""
        self._wishes.pop(uid, None)
        self._progress.pop(uid, None)
        self._sentinels.pop(uid, None)

    async def run(self) -> None:
        """Ask for ever; a wish lasts for one round unless a reconcile renews it."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while True:
                await asyncio.sleep(self._interval)
                await self._round(session)

    async def _round(self, session: aiohttp.ClientSession) -> None:
        wishes, self._wishes = list(self._wishes.values()), {}
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(wish: _Wish) -> None:
            async with gate:
                await (self._ask_trainer if wish.trainer else self._ask_sentinel)(session, wish)
            self._enqueue(wish.key)

        await asyncio.gather(*(ask(wish) for wish in wishes))

    async def _ask_trainer(self, session: aiohttp.ClientSession, wish: _Wish) -> None:
        answer = await _get(session, f"http://{wish.pod.pod_ip}:{PORT_PROGRESS}/progress")
        before = self._progress.get(wish.pod.uid)
        now = timestamp(datetime.now(UTC))
        try:
            report = ProgressReport.model_validate_json(answer) if answer else None
        except ValidationError:
            report = None
        if report is not None:
            self._progress[wish.pod.uid] = ProgressFact(report, now)
        elif before is not None:
            self._progress[wish.pod.uid] = replace(before, reachable=False)

    async def _ask_sentinel(self, session: aiohttp.ClientSession, wish: _Wish) -> None:
        asked = timestamp(datetime.now(UTC))
        answer = await _get(session, f"http://{wish.pod.pod_ip}:{PORT_SENTINEL}/status")
        fact = _sentinel(wish.pod.uid, answer, asked) if answer else None
        if fact is not None:
            self._sentinels[wish.pod.uid] = fact


async def _get(session: aiohttp.ClientSession, url: str) -> bytes | None:
    """Return the body of a successful answer, None if there is none."""
    try:
        async with session.get(url, allow_redirects=False) as answer:
            return await answer.content.read(65536) if answer.ok else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


def _sentinel(pod_uid: str, answer: bytes, asked: str) -> SentinelFact | None:
    """Read a sentinel's answer; None if it makes no sense."""
    try:
        status = SentinelStatus.model_validate_json(answer)
    except ValidationError:
        return None
    return SentinelFact(
        pod_uid, status.digest, status.golden.value, status.message, status.counters, asked
    )
