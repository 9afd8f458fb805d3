"""The client of the API server: plain dicts, one connection pool, a rate limit, our own errors.

Every write passes the gate first: while the Lease is not safely ours, nothing leaves the process.
"""

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from pydantic_core import from_json, to_json

from modelyard.api.config import ClientSettings
from modelyard.api.errors import Broken, Retry
from modelyard.api.names import FIELD_MANAGER, STATUS_MANAGER
from modelyard.kube.bucket import TokenBucket
from modelyard.kube.connection import Connection
from modelyard.kube.failures import JSON_PATCH, Missing, failure_of
from modelyard.kube.kinds import Kind, Raw, kind_of, resource_version
from modelyard.kube.metrics import LoopMetrics

APPLY_PATCH = "application/apply-patch+yaml"
JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = 500
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What a LIST found, and as of when."""

    objects: tuple[Raw, ...]
    version: int
    """Resource version of the state that it shows: whatever is newer, it cannot know of."""


Gate = Callable[[], float]
"""Returns for how many seconds a write may still take; raises Retry if none may leave."""


def _open_gate() -> float:
    return TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON
    query: dict[str, str] | None = None
    timeout: float = TIMEOUT_SECONDS
    write: bool = False
    """Whether it must pass the gate."""
    urgent: bool = False
    """Whether it may pass the rate limit: leadership must not wait behind the work it is for."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def encode(value: object) -> bytes:
    """Return compact JSON."""
    return to_json(value)


class Client:
    """Asynchronous access to the API server; use as an async context manager.

    Every method raises Retry (and its subclasses in `failures`), Refused or Broken, nothing else.
    """

    def __init__(
        self,
        connection: Connection,
        settings: ClientSettings,
        metrics: LoopMetrics,
        gate: Gate = _open_gate,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._metrics = metrics
        self._gate = gate
        self._bucket = TokenBucket(settings.queries_per_second, settings.burst)
        self._session: aiohttp.ClientSession | None = None

    def guard(self, gate: Gate) -> None:
        """Let every later write pass `gate` first."""
        self._gate = gate

    async def __aenter__(self) -> "Client":
        pool = self._connection.pool(self._settings.connections)
        self._session = aiohttp.ClientSession(connector=pool)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str, urgent: bool = False) -> Raw | None:
        """Return the live object, or None if there is none."""
        try:
            return await self._json(Call("GET", kind.path(namespace, name), urgent=urgent))
        except Missing:
            return None

    async def list_metadata(self, kind: Kind, namespace: str = "", label: str = "") -> Listing:
        """Return metadata of all objects of a kind (in pages), an empty namespace meaning all."""
        return await self._list(kind, namespace, label, METADATA_LIST)

    async def list_objects(self, kind: Kind, namespace: str = "", label: str = "") -> Listing:
        """Return all objects of a kind (in pages), an empty namespace meaning all."""
        return await self._list(kind, namespace, label, JSON)

    async def _list(self, kind: Kind, namespace: str, label: str, accept: str) -> Listing:
        found: list[Raw] = []
        versions: list[int] = []
        query = {"limit": str(PAGE), "labelSelector": label}
        while True:
            call = Call("GET", kind.path(namespace), accept=accept, query=query)
            page = await self._json(call)
            found += page.get("items") or []
            versions.append(resource_version(page))
            token = page["metadata"].get("continue")
            if not token:
                return Listing(tuple(found), min(versions))
            query = {**query, "continue": token}

    async def log_tail(self, namespace: str, pod: str, container: str, limit: int) -> str:
        """Return at most the last `limit` bytes of a container's log; empty if it is gone."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {"container": container, "tailLines": "200", "limitBytes": str(limit * 16)}
        try:
            content = await self._send(Call("GET", path, query=query, accept="*/*"))
        except Missing:
            return ""
        return content[-limit:].decode(errors="replace")

    async def create(self, manifest: Raw) -> Raw:
        """Create an object.

        Raises:
            AlreadyExists: one of that name exists.
        """
        kind = kind_of(manifest)
        path = kind.path(manifest["metadata"].get("namespace", ""))
        query = {"fieldManager": FIELD_MANAGER}
        return await self._json(Call("POST", path, encode(manifest), query=query, write=True))

    async def apply(self, manifest: Raw, manager: str = FIELD_MANAGER) -> Raw:
        """Create or change an object by server-side apply, taking over the fields we name."""
        return await self._apply(manifest, manager)

    async def apply_status(self, owner: Raw, status: Raw) -> Raw:
        """Make `status` the complete status of `owner`.

        Raises:
            Conflict: the object has changed since `owner` was read.
        """
        meta = owner["metadata"]
        body = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "metadata": {k: meta[k] for k in ("name", "namespace", "resourceVersion")},
            "status": status,
        }
        return await self._apply(body, STATUS_MANAGER, "status")

    async def _apply(self, manifest: Raw, manager: str, subresource: str = "") -> Raw:
        meta = manifest["metadata"]
        path = kind_of(manifest).path(meta.get("namespace", ""), meta["name"], subresource)
        query = {"fieldManager": manager, "force": "true"}
        call = Call("PATCH", path, encode(manifest), APPLY_PATCH, query=query, write=True)
        return await self._json(call)

    async def set_finalizers(self, owner: Raw, finalizers: tuple[str, ...]) -> Raw:
        """Replace the finalizers of `owner`, provided it has not changed since it was read.

        Raises:
            Conflict: it has changed.
        """
        meta = owner["metadata"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": list(finalizers)},
        ]
        path = kind_of(owner).path(meta.get("namespace", ""), meta["name"])
        query = {"fieldManager": FIELD_MANAGER}
        call = Call("PATCH", path, encode(patch), JSON_PATCH, query=query, write=True)
        return await self._json(call)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw | None:
        """Delete the object of that uid in the background.

        Returns:
            The object if it is still terminating, None if it is gone.

        Raises:
            Conflict: another object has that name now.
        """
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        call = Call("DELETE", kind.path(namespace, name), encode(body), write=True)
        try:
            answer = await self._json(call)
        except Missing:
            return None
        # A Service that is gone is answered with its last state: only what is held has a time.
        return answer if answer["metadata"].get("deletionTimestamp") else None

    async def renew(self, lease: Raw, create: bool) -> Raw:
        """Write a Lease, past the gate that the Lease itself operates."""
        meta = lease["metadata"]
        kind = kind_of(lease)
        name = "" if create else meta["name"]
        method = "POST" if create else "PUT"
        path = kind.path(meta["namespace"], name)
        return await self._json(Call(method, path, encode(lease), timeout=5, urgent=True))

    async def watch(
        self, kind: Kind, namespace: str, seconds: int, **selection: str
    ) -> AsyncGenerator[Raw, None]:
        """Yield the watch events of a kind for at most `seconds`.

        Args:
            kind: what to watch.
            namespace: where; empty means everywhere.
            seconds: for how long.
            selection: parameters of the request, for instance `labelSelector`.
        """
        query = {"watch": "true", "timeoutSeconds": str(seconds), **selection}
        call = Call("GET", kind.path(namespace), query=query, timeout=seconds + 5, urgent=True)
        async with await self._request(call) as answer:
            try:
                async for line in answer.content:
                    yield from_json(line)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Retry(f"The watch of {kind.plural} broke off: {error!r}") from error

    async def resources(self, root: str) -> frozenset[str]:
        """Return the plural names that a group and version serves, none if it does not exist.

        Args:
            root: path of group and version, for instance `/apis/batch/v1`.
        """
        try:
            found = await self._json(Call("GET", root))
        except Missing:
            return frozenset()
        return frozenset(entry["name"] for entry in found.get("resources") or ())

    async def _json(self, call: Call) -> Raw:
        return cast(Raw, from_json(await self._send(call)))

    async def _send(self, call: Call) -> bytes:
        """Return the body of a successful answer."""
        try:
            async with await self._request(call) as answer:
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Retry(f"The answer to {call} broke off: {error!r}") from error

    async def _request(self, call: Call) -> aiohttp.ClientResponse:
        """Send a request in its turn and check the status of the answer."""
        if not call.urgent:
            await self._bucket.take()
        arguments = await self._arguments(call)
        started = time.monotonic()
        try:
            answer = await self._open().request(call.method, **arguments)
            body = b"" if answer.ok else await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._metrics.request("<error>", call.method, time.monotonic() - started)
            raise Retry(f"The API server did not answer {call}: {error!r}") from error
        self._metrics.request(str(answer.status), call.method, time.monotonic() - started)
        if not answer.ok:
            raise failure_of(str(call), answer.status, answer.headers, body, call.content_type)
        return answer

    async def _arguments(self, call: Call) -> dict[str, Any]:
        """Return what aiohttp needs for a request; a write may take as long as the gate says."""
        seconds = min(self._gate(), call.timeout) if call.write else call.timeout
        headers = {"Accept": call.accept, **await self._connection.authorization()}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        return {
            "url": self._connection.server + call.path,
            "data": call.body,
            "headers": headers,
            "params": call.query,
            "timeout": aiohttp.ClientTimeout(total=seconds, sock_connect=5),
        }

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Broken("The client was used outside `async with`")
        return self._session
