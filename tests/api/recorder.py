"""What really happened to the objects of the tier: their present state, births and deaths.

The recorder has watches of its own, past every proxy, so it is what an operator's view and an
operator's writes are held against.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable

import aiohttp

from modelyard.kube.kinds import CHILDREN, ROOTS, Key, Kind, Raw, key_of
from tests.api.admin import Admin

PAUSE = 0.2
Listener = Callable[[str], None]
"""Told the namespace of whatever changed."""


class Recorder:
    """Follows all objects of the operator's kinds in all namespaces."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self.objects: dict[Key, Raw] = {}
        self.births: dict[str, Counter[Key]] = defaultdict(Counter)
        """How often an object of a key was created, by namespace."""
        self.deaths: dict[str, Counter[Key]] = defaultdict(Counter)
        """How often one was deleted, by namespace."""
        self.dead: set[str] = set()
        """Uids of all objects that were deleted."""
        self.changes: Counter[str] = Counter()
        """Events by namespace: whoever waits for silence watches this."""
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every change from now on."""
        self._listeners.append(listener)

    def of(self, namespace: str, kind: str) -> list[Raw]:
        """Return the objects of a kind in a namespace, sorted by name."""
        found = [raw for key, raw in list(self.objects.items()) if key[:2] == (kind, namespace)]
        return sorted(found, key=lambda raw: str(raw["metadata"]["name"]))

    def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        """Return an object, None if there is none."""
        return self.objects.get(Key(kind, namespace, name))

    async def run(self) -> None:
        """Follow until cancelled."""
        await asyncio.gather(*(self._follow(kind) for kind in (*ROOTS, *CHILDREN)))

    async def _follow(self, kind: Kind) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                version = await self._list(kind)
                async for event in self._admin.watch(kind.path(), resourceVersion=version):
                    if event["type"] == "ERROR":
                        break
                    self._take(event["type"], {**event["object"], "kind": kind.name})
            await asyncio.sleep(PAUSE)

    async def _list(self, kind: Kind) -> str:
        listed = await self._admin.get(kind.path())
        alive = {raw["metadata"]["uid"] for raw in listed["items"]}
        for raw in listed["items"]:
            self._take("ADDED", {**raw, "kind": kind.name, "apiVersion": kind.api_version})
        for key, raw in list(self.objects.items()):
            if key.kind == kind.name and raw["metadata"]["uid"] not in alive:
                self._take("DELETED", raw)
        return str(listed["metadata"]["resourceVersion"])

    def _take(self, verb: str, raw: Raw) -> None:
        key, gone = key_of(raw), verb == "DELETED"
        known = self.objects.get(key)
        same = known is not None and known["metadata"]["uid"] == raw["metadata"]["uid"]
        if (gone and not same) or (not gone and known == raw):
            return
        if gone:
            self.deaths[key.namespace][key] += 1
            self.dead.add(raw["metadata"]["uid"])
            del self.objects[key]
        else:
            self.births[key.namespace][key] += not same
            self.objects[key] = raw
        self.changes[key.namespace] += 1
        for listener in self._listeners:
            listener(key.namespace)
