"""The API server, spoken to as kubectl does: plain JSON over `kubernetes.aio`'s transport."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from modelyard_cli.exits import Exit, Stop
from modelyard_cli.place import Place

Raw = dict[str, Any]
"""A Kubernetes object as plain JSON."""

MERGE_PATCH = "application/merge-patch+json"
FIELD_MANAGER = "kubectl-modelyard"
UNUSABLE = (config.ConfigException, OSError, ValueError, LookupError, TypeError, yaml.YAMLError)
"""What reading a kubeconfig may raise."""
SECONDS = 30.0
"""How long an answer may take that is no stream."""
DEFAULT_NAMESPACE = "default"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Refusal(Exception):  # noqa: N818 - the server's answer
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def forbidden(self) -> bool:
        """Whether the user lacks a right."""
        return self.status == 403  # noqa: PLR2004 - HTTP

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed in a moment: the server starts, or is busy."""
        return self.status == 429 or self.status >= 500  # noqa: PLR2004 - HTTP

    @property
    def missing(self) -> bool:
        """Whether there is no such object."""
        return self.status == 404 and not self.unknown_kind  # noqa: PLR2004 - HTTP

    @property
    def unknown_kind(self) -> bool:
        """Whether the server does not even know the kind."""
        told = str(self).startswith("the server could not find the requested resource")
        return self.status == 404 and (told or not self.reason)  # noqa: PLR2004 - HTTP


class Api:
    """Sends requests as one user; belongs to one event loop."""

    def __init__(self, client: ApiClient, namespace: str, as_user: str) -> None:
        self._client = client
        self._as_user = as_user
        self.namespace = namespace
        """Namespace of the command line, else of the context."""

    async def get(self, path: str, accept: str = "application/json", **query: str) -> Raw:
        """Return the JSON at a path."""
        return cast(Raw, json.loads(await self.read(path, accept, **query)))

    async def read(self, path: str, accept: str = "*/*", **query: str) -> bytes:
        """Return what is at a path."""
        async with self._sent("GET", path, query, accept=accept) as answer:
            return await answer.read()

    async def write(
        self, method: str, path: str, body: object, dry_run: bool = False, **query: str
    ) -> Raw:
        """Create (POST) or merge-patch (PATCH) an object; a dry run is judged and not stored."""
        kind = MERGE_PATCH if method == "PATCH" else "application/json"
        given = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", **query}
        if dry_run:
            given["dryRun"] = "All"
        async with self._sent(method, path, given, body=body, content=kind) as answer:
            return cast(Raw, json.loads(await answer.read()))

    async def ask(self, path: str, body: object) -> bytes:
        """POST something that is no object, and return the answer."""
        async with self._sent("POST", path, {}, body=body) as answer:
            return await answer.read()

    async def lines(self, path: str, accept: str = "*/*", **query: str) -> AsyncIterator[bytes]:
        """Yield the lines of an answer until the server ends it."""
        async with self._sent("GET", path, query, accept=accept, seconds=None) as answer:
            async for line in answer.content:
                yield line

    @asynccontextmanager
    async def _sent(  # noqa: PLR0913 - one request has as many parts
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: object = None,
        content: str = "application/json",
        accept: str = "*/*",
        seconds: float | None = SECONDS,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and check the status of the answer.

        Raises:
            Refusal: the API server said no.
        """
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": FIELD_MANAGER}
        if self._as_user:
            headers["Impersonate-User"] = self._as_user
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = str(self._client.configuration.host).rstrip("/") + path
        if query:
            url += "?" + urlencode(query)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=10)
        sent = await self._client.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=timeout
        )
        answer = cast(aiohttp.ClientResponse, sent.response)
        try:
            if not answer.ok:
                raise refusal(answer.status, await answer.read())
            yield answer
        finally:
            answer.close()


def refusal(status: int, body: bytes) -> Refusal:
    """Read the API server's `Status`, or whatever text came instead.

    >>> refusal(404, b'{"reason": "NotFound", "message": "no such thing"}').reason
    'NotFound'
    """
    try:
        told = json.loads(body)
        text = told.get("message") or told.get("error") or ""  # TF-Serving says error
        return Refusal(status, str(told.get("reason", "")), str(text))
    except (ValueError, AttributeError):
        return Refusal(status, "", body[:500].decode(errors="replace").strip())


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Api]:
    """Connect with a kubeconfig, or in a pod as its ServiceAccount.

    Raises:
        Stop: neither is there, or the kubeconfig is unusable.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = 0
    try:
        context_namespace = await _load(place, configuration)
    except UNUSABLE as error:
        text = f"there is no way to an API server: {' '.join(str(error).split())}"
        raise Stop(Exit.API_ERROR, text, "set KUBECONFIG, or give --kubeconfig FILE") from error
    client = ApiClient(configuration)
    try:
        yield Api(client, place.namespace or context_namespace or DEFAULT_NAMESPACE, place.as_user)
    finally:
        await client.close()
        await asyncio.sleep(0)  # lets the transport say goodbye


async def _load(place: Place, configuration: Any) -> str:
    """Fill in the configuration; return the namespace it comes with."""
    given = place.kubeconfig or os.environ.get("KUBECONFIG")
    if not given and not place.context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=configuration)
        return _own_namespace()
    loader = await config.load_kube_config(
        config_file=str(given) if given else None,
        context=place.context or None,
        client_configuration=configuration,
        persist_config=False,
    )
    return str(loader.current_context["context"].get("namespace") or "")


def _own_namespace() -> str:
    """Return the namespace of the pod that this runs in."""
    return _NAMESPACE_FILE.read_text().strip()
