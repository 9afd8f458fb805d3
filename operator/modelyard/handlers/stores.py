"""Store facts for planners and store actions of plans, each in a worker thread.

boto3 is imported with the first use: an operator that has nothing to ask a store stays small.
"""

import asyncio
import threading

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys, StoreSettings
from modelyard.plan.core import RemoveArtifact, RemoveRun
from modelyard.plan.observed import ManifestFact, RunFact
from modelyard.store.credentials import Credentials, find_credentials
from modelyard.store.interface import Store


class Stores:
    """The configured stores, as the reconcile loop uses them."""

    def __init__(self, config: OperatorConfig) -> None:
        self._config = config
        self._threads = asyncio.Semaphore(4)
        self._connecting = threading.Lock()
        self._connections: dict[str, tuple[Credentials | None, Store]] = {}

    async def manifest(
        self, store_name: str, namespace: str, model: str, version: int, digest: str
    ) -> ManifestFact:
        """Return what the store says of a version; every obstacle is a fact, never raised."""

        def look() -> ManifestFact:
            from modelyard.store.verify import verify_manifest  # noqa: PLC0415 - see module

            return verify_manifest(*self._reach(store_name, namespace, model), version, digest)

        try:
            async with self._threads:
                return await asyncio.to_thread(look)
        except (Refused, Retry) as obstacle:
            return ManifestFact("Unreachable", message=str(obstacle))

    async def published(
        self, store_name: str, namespace: str, model: str, training_uid: str
    ) -> RunFact:
        """Return what a training has committed; every obstacle is a fact, never raised."""

        def look() -> RunFact:
            from modelyard.store.claims import published_by  # noqa: PLC0415 - see module

            return published_by(*self._reach(store_name, namespace, model), training_uid)

        try:
            async with self._threads:
                return await asyncio.to_thread(look)
        except (Refused, Retry) as obstacle:
            return RunFact("Unreachable", message=str(obstacle))

    async def remove(self, action: RemoveArtifact | RemoveRun) -> None:
        """Delete what a plan's action names.

        Raises:
            Refused: the store is not configured, refuses us, or did not answer: whoever waits for
                the removal is told, and a deletion does not wait for ever.
        """

        def delete() -> None:
            from modelyard.store.collect import (  # noqa: PLC0415 - see module
                remove_run,
                remove_version,
            )

            store, keys = self._reach(action.store_name, action.namespace, action.model)
            if isinstance(action, RemoveRun):
                remove_run(store, keys, action.training_uid, action.keep_version)
            else:
                remove_version(store, keys, action.version, action.manifest_digest)

        try:
            async with self._threads:
                await asyncio.to_thread(delete)
        except Retry as retry:
            raise Refused(Reason.STORE_UNREACHABLE, str(retry)) from retry

    def _reach(self, store_name: str, namespace: str, model: str) -> tuple[Store, ModelKeys]:
        """Return a store, and the keys of a model in it."""
        settings = self._config.store(store_name)
        if settings is None:
            message = f"No store {store_name!r} is configured; add it to the operator's"
            raise Refused(Reason.STORE_NOT_FOUND, f"{message} configuration.")
        return self._connected(settings), ModelKeys(settings.prefix, namespace, model)

    def _connected(self, settings: StoreSettings) -> Store:
        """Return the connection of a store: the same one until its credentials change.

        A connection costs a quarter of a second of CPU and megabytes that Python gives back late.
        """
        from modelyard.store.client import connect  # noqa: PLC0415 - see module

        credentials = find_credentials(settings.name)
        with self._connecting:
            known = self._connections.get(settings.name)
            if known is None or known[0] != credentials:
                known = credentials, connect(settings, credentials)
                self._connections[settings.name] = known
            return known[1]
