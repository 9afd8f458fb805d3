"""An object with its children, read once or kept up to date by watches."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from modelyard.api.names import LABEL_OWNER_UID
from modelyard.api.rules import DEPLOYMENT, TRAINING, Kind
from modelyard_cli import kinds
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.kinds import Subject

WATCH_SECONDS = 600
AGAIN_SECONDS = 1.0
CHILDREN: dict[str, tuple[str, ...]] = {
    TRAINING.name: (kinds.JOBS, kinds.PODS),
    DEPLOYMENT.name: (kinds.WORKLOADS, kinds.PODS, kinds.SERVICES),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One LIST, and the watch that continues it."""

    collection: str
    path: str
    query: dict[str, str]
    required: bool = False
    """Whether nothing can be shown without it."""


@dataclass(slots=True)
class Mirror:
    """An object and its children as they were last heard of."""

    kind: Kind
    name: str
    sources: tuple[Source, ...]
    found: dict[str, dict[str, Raw]] = field(default_factory=dict)
    """By collection, then by uid."""
    refused: set[str] = field(default_factory=set)
    """Collections that the user may not read."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _failure: Exception | None = None

    @property
    def subject(self) -> Subject:
        """The object itself.

        Raises:
            Stop: it was deleted.
        """
        for raw in self.children(kinds.path_of(self.kind)):
            return Subject(self.kind, self.name, raw)
        text = f"{kinds.word_of(self.kind)} {self.name} is gone"
        raise Stop(Exit.NOT_FOUND, text, "somebody deleted it")

    def children(self, collection: str) -> list[Raw]:
        """Return the objects of a collection, oldest first."""
        found = self.found.get(collection, {}).values()
        return sorted(
            found, key=lambda r: (r["metadata"]["creationTimestamp"], r["metadata"]["name"])
        )

    async def read(self, api: Api) -> None:
        """Read everything once."""
        await asyncio.gather(*(self._list(api, source) for source in self.sources))

    async def changed(self, seconds: float) -> bool:
        """Wait until something has changed, or for so long; tell whether it has."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        if self._failure is not None:
            raise self._failure
        return True

    async def follow(self, api: Api, source: Source) -> None:
        """Keep a source up to date until cancelled."""
        while source.collection not in self.refused:
            try:
                version = await self._list(api, source)
                self._news.set()
                await self._watch(api, source, version)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                await asyncio.sleep(AGAIN_SECONDS)
            except Refusal as refusal:
                if refusal.passing:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                self._failure = refusal
                self._news.set()
                return

    async def _list(self, api: Api, source: Source) -> str:
        """Read a source; return the version to watch from."""
        try:
            listed = await api.get(source.path, **source.query)
        except Refusal as refusal:
            if source.required or not refusal.forbidden:
                raise
            self.refused.add(source.collection)
            return ""
        self.found[source.collection] = {r["metadata"]["uid"]: r for r in listed["items"]}
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, api: Api, source: Source, version: str) -> None:
        """Apply events until the watch ends, which only means to list anew."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        if source.collection in self.refused:
            return
        known = self.found[source.collection]
        async for line in api.lines(source.path, **query, **source.query):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                known.pop(uid, None)
            else:
                known[uid] = event["object"]
            self._news.set()


def mirror_of(api: Api, subject: Subject, alone: bool = False) -> Mirror:
    """Return an empty mirror of an object, with its children unless it is meant alone."""
    own = kinds.path_of(subject.kind)
    by_name = {"fieldSelector": f"metadata.name={subject.name}"}
    root = Source(own, kinds.path_of(subject.kind, api.namespace), by_name, required=True)
    owned = {"labelSelector": f"{LABEL_OWNER_UID}={subject.uid}"}
    children = (
        Source(collection, kinds.place(collection, api.namespace), owned)
        for collection in CHILDREN.get(subject.kind.name, ())
        if not alone
    )
    return Mirror(subject.kind, subject.name, (root, *children))


@asynccontextmanager
async def mirrored(api: Api, subject: Subject, alone: bool = False) -> AsyncIterator[Mirror]:
    """Keep a mirror up to date while the block lasts."""
    mirror = mirror_of(api, subject, alone)
    await mirror.read(api)
    tasks = [asyncio.create_task(mirror.follow(api, source)) for source in mirror.sources]
    try:
        yield mirror
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
