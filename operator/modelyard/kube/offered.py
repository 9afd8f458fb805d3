"""Kinds that a cluster may not have: looked for, listed and watched by ourselves.

kopf never notices a kind that comes after it has started, and an operator must start without the
Gateway API. Whatever ends a watch here, a new LIST follows.
"""

import asyncio
import contextlib
import logging

from modelyard.api.errors import Refused, Retry
from modelyard.api.names import LABEL_OWNER_UID
from modelyard.kube.cache import Cache
from modelyard.kube.client import Client
from modelyard.kube.kinds import ENDPOINT_SLICE, ROUTES, Kind, Raw, key_of
from modelyard.kube.sweep import fill

LOG = logging.getLogger("modelyard.offered")
LOOK_SECONDS = 15.0
"""How long a kind that was installed may remain unnoticed."""
WATCH_SECONDS = 300
AGAIN_SECONDS = 1.0


class Offered:
    """Which optional kinds the API server serves; belongs to one process."""

    def __init__(self, client: Client, cache: Cache) -> None:
        self._client = client
        self._cache = cache
        self._kinds: tuple[Kind, ...] = ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds to look at: none without routes, else what decides about routes, too."""
        return self._kinds

    @property
    def names(self) -> frozenset[str]:
        """The names of these kinds."""
        return frozenset(kind.name for kind in self._kinds)

    async def look(self) -> None:
        """Ask the API server.

        Raises:
            Retry: it did not answer.
        """
        (root,) = {kind.root for kind in ROUTES}
        plurals = await self._client.resources(root)
        routes = tuple(kind for kind in ROUTES if kind.plural in plurals)
        kinds = (ENDPOINT_SLICE, *routes) if routes else ()
        if kinds != self._kinds:
            LOG.info("kinds of the Gateway API: %s", ", ".join(k.name for k in routes) or "none")
        self._kinds = kinds

    async def look_again(self) -> None:
        """Ask for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (Retry, Refused) as obstacle:
                LOG.info("the Gateway API was not looked for: %s", obstacle)

    async def follow(self, kind: Kind, namespace: str) -> None:
        """Keep one kind in the cache up to date for ever, while it is served."""
        while True:
            try:
                if kind in self._kinds:
                    await self._follow(kind, namespace)
                    continue
                self._forget(kind)
            except (Retry, Refused) as obstacle:
                LOG.info("the watch of %s begins anew: %s", kind.plural, obstacle)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, kind: Kind, namespace: str) -> None:
        """List, then watch until the watch ends."""
        listing = await fill(self._client, self._cache, kind, namespace)
        since = {"labelSelector": LABEL_OWNER_UID, "resourceVersion": str(listing.version)}
        events = self._client.watch(kind, namespace, WATCH_SECONDS, **since)
        async with contextlib.aclosing(events):
            async for event in events:
                if event["type"] == "ERROR":
                    raise Retry(str(event["object"].get("message")))
                self._file(event)

    def _file(self, event: Raw) -> None:
        raw = event["object"]
        if event["type"] == "DELETED":
            self._cache.remove(key_of(raw), raw["metadata"]["uid"])
        else:
            self._cache.put(raw)

    def _forget(self, kind: Kind) -> None:
        """Forget the objects of a kind that is no longer served."""
        for key in self._cache.keys(kind.name):
            known = self._cache.get(key)
            if known is not None:
                self._cache.remove(key, known["metadata"]["uid"])
