"""Where the API server is and how to authenticate: kubeconfig, or the pod's service account.

`kubernetes.aio.config` reads both (contexts, client certificates, exec plugins); requests are made
with aiohttp itself, because the generated client's serialisation costs more CPU than the request.
"""

import asyncio
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import aiohttp

from modelyard.api.errors import Broken

TOKEN_SECONDS = 60.0
"""Projected tokens rotate; the file is read again at least this often."""
KEEPALIVE_SECONDS = 60.0
GOODBYE_SECONDS = 5.0
"""How long the API server may take to answer the end of a TLS connection."""
LOOK_SECONDS = 0.01


@dataclass
class Connection:
    """An API server and the credentials for it."""

    configuration: Any
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    _sockets: WeakSet[socket.socket] = field(default_factory=WeakSet, repr=False)

    @property
    def server(self) -> str:
        """URL of the API server without a trailing slash."""
        return str(self.configuration.host).rstrip("/")

    async def authorization(self) -> dict[str, str]:
        """Return the present Authorization header, empty for client certificates.

        A service account's token is read again from its file once it is 60 s old.
        """
        settings = await self.configuration.auth_settings()
        token = (settings.get("BearerToken") or {}).get("value")
        return {"Authorization": token} if token else {}

    def pool(self, limit: int) -> aiohttp.TCPConnector:
        """Return an empty pool of at most `limit` connections, 0 meaning any number."""

        def make(info: aiohttp.AddrInfoType) -> socket.socket:
            made = socket.socket(*info[:3])
            self._sockets.add(made)
            return made

        return aiohttp.TCPConnector(
            limit=limit,
            ssl=True if self.tls is None else self.tls,
            keepalive_timeout=KEEPALIVE_SECONDS,
            socket_factory=make,
        )

    async def closed(self) -> None:
        """Wait until the other side knows of the end of every connection: call it at the very end.

        The end of a request that is cut short is a TLS goodbye, which has an answer. aiohttp waits
        for none of these, and a process that ends first leaves its connections to the kernel.
        """
        deadline = time.monotonic() + GOODBYE_SECONDS
        while self._open() and time.monotonic() < deadline:  # noqa: ASYNC110 - sockets do not tell
            await asyncio.sleep(LOOK_SECONDS)

    def _open(self) -> bool:
        """Tell whether a connection is still open."""
        return any(made.fileno() >= 0 for made in self._sockets)


def _tls(configuration: Any) -> ssl.SSLContext | None:
    """Build the TLS context that the configuration asks for, None for plain HTTP."""
    if not configuration.host.startswith("https"):
        return None
    context = ssl.create_default_context(
        cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data
    )
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def find_connection() -> Connection:
    """Return the pod's own service account if there is one, else the current kubeconfig.

    Raises:
        Broken: neither is usable.
    """
    from kubernetes.aio import config  # noqa: PLC0415 - 5 MiB that only a running operator needs
    from kubernetes.aio.client import Configuration  # noqa: PLC0415

    configuration = Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=os.environ.get("KUBECONFIG"),  # by itself the library asks once, early
                client_configuration=configuration,
                persist_config=False,
            )
    except config.ConfigException as error:
        raise Broken(
            f"No way to the API server: {error}. Expected a service account in a pod, or a"
            " kubeconfig in KUBECONFIG or ~/.kube/config."
        ) from error
    return Connection(configuration, _tls(configuration))
