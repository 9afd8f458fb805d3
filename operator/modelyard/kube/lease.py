"""Leader election by a Lease: at most one process writes at any time.

After client-go's leaderelection: clocks of other machines are never compared; a foreign Lease has
expired once *we* have seen no renewal for its duration. A candidate watches the Lease, so a
released one is taken at once.
"""

import asyncio
import contextlib
import math
import time
from datetime import UTC, datetime

from modelyard.api.config import LeaseSettings
from modelyard.api.errors import Refused, Retry
from modelyard.kube.client import Client
from modelyard.kube.failures import AlreadyExists, Forbearance
from modelyard.kube.kinds import LEASE, Raw

MARGIN = 0.2
"""Share of the duration that a write must stay clear of the Lease's end."""


class LeaseLost(Exception):  # noqa: N818 - a fact, and the end of this process' writing
    """The Lease could not be renewed in time; another process may write now."""


class Elector:
    """Acquires the Lease, keeps it, and says how long it is safely ours."""

    def __init__(self, client: Client, settings: LeaseSettings, identity: str) -> None:
        self._client = client
        self._settings = settings
        self._identity = identity
        self._valid_until = 0.0
        self._seen: tuple[str, float] = ("", 0.0)
        self._lease: Raw | None = None

    @property
    def leading(self) -> bool:
        """Whether the Lease is safely ours now."""
        return self._remaining() > 0

    def gate(self) -> float:
        """Return for how many seconds a write may take; raise Retry if none may leave."""
        remaining = self._remaining()
        if remaining <= 0:
            raise Retry("This process does not hold the Lease; only the leader writes", 1)
        return remaining

    async def acquire(self) -> None:
        """Wait until the Lease is ours.

        Raises:
            Refused: the right to the Lease has been missing for as long as the renew deadline.
        """
        forbearance = Forbearance(self._settings.renew_deadline_seconds)
        while True:
            try:
                if await self._attempt():
                    return
                forbearance.answered()
            except Retry:  # an API server that is away comes back
                forbearance.answered()
            except Refused as refused:
                forbearance.refused(refused)
            await self._wait_for_change()

    async def keep(self) -> None:
        """Renew for ever.

        Raises:
            LeaseLost: no renewal succeeded within the renew deadline, or somebody took it.
        """
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self._settings.retry_seconds)
            deadline = renewed + self._settings.renew_deadline_seconds
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    if await self._attempt():
                        renewed = time.monotonic()
                        continue
                    raise LeaseLost("Another process holds the Lease")
            except (Retry, Refused, TimeoutError) as obstacle:
                if time.monotonic() >= deadline:
                    text = f"The Lease could not be renewed in time: {obstacle!r}"
                    raise LeaseLost(text) from obstacle

    async def release(self) -> None:
        """Give the Lease back, so that the next leader need not wait."""
        if not self.leading or self._lease is None:
            return
        self._valid_until = 0.0
        with contextlib.suppress(Retry, Refused):
            await self._client.renew(self._document("", self._lease), create=False)

    def _remaining(self) -> float:
        margin = MARGIN * self._settings.duration_seconds
        return self._valid_until - margin - time.monotonic()

    async def _attempt(self) -> bool:
        """Create, renew or take over the Lease; return whether it is ours."""
        settings, started = self._settings, time.monotonic()
        lease = await self._client.get(LEASE, settings.namespace, settings.name, urgent=True)
        if lease is not None and not self._free(lease):
            return False
        try:
            wanted = self._document(self._identity, lease)
            self._lease = await self._client.renew(wanted, create=lease is None)
        except AlreadyExists:
            return False
        except Retry:
            if lease is not None and self._holder(lease) != self._identity:
                return False  # somebody else was faster
            raise
        self._valid_until = started + settings.duration_seconds
        return True

    def _free(self, lease: Raw) -> bool:
        """Whether the Lease is ours, released, or has expired before our eyes."""
        holder = self._holder(lease)
        if holder in {"", self._identity}:
            return True
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
        duration = lease["spec"].get("leaseDurationSeconds") or self._settings.duration_seconds
        return time.monotonic() - self._seen[1] > duration

    @staticmethod
    def _holder(lease: Raw) -> str:
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    async def _wait_for_change(self) -> None:
        """Return once the Lease changes, at the latest after the retry interval."""
        pause = max(self._settings.retry_seconds, 0.1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                with contextlib.suppress(Retry, Refused):
                    if await self._changes():
                        return
                await asyncio.sleep(pause)

    async def _changes(self) -> bool:
        """Watch the Lease; return True once it changes or is free, False when the watch ends."""
        settings = self._settings
        seconds = math.ceil(settings.retry_seconds) + 1
        only = {"fieldSelector": f"metadata.name={settings.name}"}
        events = self._client.watch(LEASE, settings.namespace, seconds, **only)
        first = True
        async with contextlib.aclosing(events):
            async for event in events:
                if not first or self._free(event["object"]):
                    return True
                first = False
        return False

    def _document(self, holder: str, before: Raw | None) -> Raw:
        """Return the Lease as it should stand."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        settings = self._settings
        spec = dict((before or {}).get("spec") or {})
        taken = spec.get("holderIdentity") != holder
        meta = {"name": settings.name, "namespace": settings.namespace}
        if before is not None:
            meta["resourceVersion"] = before["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": meta,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": math.ceil(settings.duration_seconds) if holder else 1,
                "acquireTime": now if taken else spec.get("acquireTime", now),
                "renewTime": now,
                "leaseTransitions": spec.get("leaseTransitions", 0) + (1 if taken else 0),
            },
        }
