"""An asynchronous client of the API server with all rights, for whoever plays a part of Kubernetes.

Tests themselves use `operators.Cluster`, which is synchronous.
"""

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

MERGE = "application/merge-patch+json"
GONE_OR_THERE = frozenset({404, 409})
"""Answers that mean: somebody was faster."""


@dataclass(frozen=True)
class Access:
    """Where an API server is, and how its administrator reaches it."""

    url: str
    tls: ssl.SSLContext
    """Knows the authority, and holds the administrator's certificate."""
    anonymous: ssl.SSLContext
    """Knows the authority, and holds nothing: who speaks through it needs a token."""

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        """Read a kubeconfig."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"])
        tls, anonymous = (ssl.create_default_context(cadata=authority.decode()) for _ in "12")
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]) + b"\n")
            pair.flush()
            tls.load_cert_chain(pair.name)
        return cls(cluster["server"], tls, anonymous)


class Admin:
    """Sends requests; belongs to one event loop."""

    def __init__(self, access: Access) -> None:
        self._url = access.url
        connector = aiohttp.TCPConnector(ssl=access.tls, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, path: str, **query: str) -> Any:
        """Return the JSON at a path."""
        async with self._session.get(self._url + path, params=query) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def send(self, method: str, path: str, body: Any, kind: str = "application/json") -> Any:
        """Send a write; return the object, None if somebody was faster."""
        headers = {"Content-Type": kind}
        text = json.dumps(body)
        async with self._session.request(
            method, self._url + path, data=text, headers=headers
        ) as answer:
            if answer.status in GONE_OR_THERE:
                return None
            content = await answer.text()
            assert answer.ok, f"{answer.status} to {method} {path}: {content}"
            return json.loads(content)

    async def watch(self, path: str, **query: str) -> AsyncIterator[Any]:
        """Yield watch events until the server ends the watch."""
        params = {"watch": "true", "timeoutSeconds": "600", **query}
        async with self._session.get(self._url + path, params=params) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                yield json.loads(line)
