"""Kubernetes Events, posted in the background: they explain, so nothing waits for them.

They wait for everything else: while objects are in the queue, an Event leaves once a second.

An Event is lost when the process ends first, when the API server refuses it (nothing can be made
in a terminating namespace), or when too many wait: conditions carry the truth.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from modelyard.api.errors import Refused, Retry
from modelyard.api.names import FIELD_MANAGER, short_hash
from modelyard.kube.client import Client
from modelyard.kube.failures import AlreadyExists
from modelyard.kube.kinds import EVENT, Raw
from modelyard.plan.core import Event

LOG = logging.getLogger("modelyard.events")
MOST_WAITING = 2000
PATIENCE = 1.0
"""Longest time in seconds for which an Event lets reconciles pass."""

Lull = Callable[[float], Awaitable[None]]
"""Waits until nothing more important is to be done, at most so many seconds."""


class EventPoster:
    """Posts Events one after the other."""

    def __init__(self, client: Client, lull: Lull) -> None:
        self._client = client
        self._lull = lull
        self._waiting: deque[Raw] = deque(maxlen=MOST_WAITING)
        self._news = asyncio.Event()

    def post(self, owner: Raw, event: Event) -> None:
        """Let the Event about `owner` be created soon."""
        self._waiting.append(event_manifest(owner, event))
        self._news.set()

    async def run(self) -> None:
        """Post for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._lull(PATIENCE)
                await self._create(self._waiting.popleft())

    async def _create(self, manifest: Raw) -> None:
        try:
            await self._client.create(manifest)
        except AlreadyExists:
            return  # a reconcile that was cut short said the same
        except (Retry, Refused) as obstacle:
            LOG.info("an Event was not posted: %s", obstacle)


def event_manifest(owner: Raw, event: Event) -> Raw:
    """Return the Event; its name follows from what it says, so that repeating it adds nothing."""
    meta = owner["metadata"]
    version = str(meta.get("resourceVersion", ""))
    suffix = short_hash(meta["uid"], event.reason, event.message, version, length=16)
    manifest: Raw = {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"name": f"{meta['name']}.{suffix}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": version,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "count": 1,
    }
    if moment := _latest_transition(owner):
        manifest["firstTimestamp"] = manifest["lastTimestamp"] = moment
    return manifest


def _latest_transition(owner: Raw) -> str:
    """Return when a condition last changed, empty if none has: the time that the Event is of."""
    conditions = (owner.get("status") or {}).get("conditions") or ()
    return max((c.get("lastTransitionTime", "") for c in conditions), default="")
