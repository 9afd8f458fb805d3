"""Store facts for planners and store actions of plans, each in a worker thread.

boto3 is imported with the first use: an operator that has nothing to ask a store stays small.
"""

import asyncio

from modelyard.api.config import OperatorConfig
from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.api.store import ModelKeys
from modelyard.plan.core import RemoveArtifact, RemoveRun
from modelyard.plan.observed import ManifestFact


class Stores:
    """The configured stores, as the reconcile loop uses them."""

    def __init__(self, config: OperatorConfig) -> None:
        self._config = config
        self._threads = asyncio.Semaphore(4)

    async def manifest(
        self, store_name: str, namespace: str, model: str, version: int, digest: str
    ) -> ManifestFact:
        """Return what the store says of a version; every obstacle is a fact, never raised."""

        def look() -> ManifestFact:
            from modelyard.store.client import connect  # noqa: PLC0415 - see module
            from modelyard.store.verify import verify_manifest  # noqa: PLC0415

            settings = self._config.store(store_name)
            if settings is None:
                return ManifestFact("Unreachable", message=f"no store {store_name!r} is configured")
            keys = ModelKeys(settings.prefix, namespace, model)
            return verify_manifest(connect(settings), keys, version, digest)

        try:
            async with self._threads:
                return await asyncio.to_thread(look)
        except (Refused, Retry) as obstacle:
            return ManifestFact("Unreachable", message=str(obstacle))

    async def remove(self, action: RemoveArtifact | RemoveRun) -> None:
        """Delete what a plan's action names.

        Raises:
            Refused: the store is not configured, or refuses us.
            Retry: the store did not answer.
        """

        def delete() -> None:
            from modelyard.store.client import connect  # noqa: PLC0415 - see module
            from modelyard.store.collect import remove_run, remove_version  # noqa: PLC0415

            settings = self._config.store(action.store_name)
            if settings is None:
                message = f"No store {action.store_name!r} is configured; add it to the operator's"
                raise Refused(Reason.STORE_NOT_FOUND, f"{message} configuration.")
            keys = ModelKeys(settings.prefix, action.namespace, action.model)
            store = connect(settings)
            if isinstance(action, RemoveRun):
                remove_run(store, keys, action.training_uid)
            else:
                remove_version(store, keys, action.version, action.manifest_digest)

        async with self._threads:
            await asyncio.to_thread(delete)
