"""The sentinel's loop: look at the server, and ask the golden predictions once per server start."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from modelyard.api.serve import GoldenVerdict, ServeConfig
from modelyard.api.version import GoldenSet
from modelyard.sentinel import health as beliefs
from modelyard.sentinel.folders import Folders
from modelyard.sentinel.golden import GoldenFile, mismatch
from modelyard.sentinel.health import Health
from modelyard.sentinel.server import (
    AVAILABLE,
    Gone,
    LoadState,
    ModelServer,
    PredictionRefused,
    Silent,
)

STARTING_INTERVAL = 0.25
"""Seconds between two looks until the server is ready: they delay every rollout."""
READY_INTERVAL = 1.0
"""Seconds between two looks at a ready server."""

MAX_GOLDEN_BYTES = 16 * 1024 * 1024

_log = logging.getLogger("modelyard.sentinel")


class UnusableGoldenFile(Exception):  # noqa: N818 - becomes the verdict's message
    """The recorded predictions cannot be asked; only a new version of the model can help."""


class Watch:
    """Keeps `health` up to date for as long as `run` runs."""

    def __init__(self, config: ServeConfig, models: Path, server: ModelServer) -> None:
        self._config = config
        self._artifact = Folders.of(models, config).artifact
        self._server = server
        self._health = Health()
        self._hushes = 0

    @property
    def health(self) -> Health:
        """The present belief."""
        return self._health

    async def run(self) -> None:
        """Look for ever; cancel to stop."""
        while True:
            await self.look()
            await asyncio.sleep(READY_INTERVAL if self._health.ready else STARTING_INTERVAL)

    async def look(self) -> None:
        """Look once, and ask the golden predictions if they are due."""
        before = self._health
        try:
            self._count(await self._server.request_count())
            self._health = beliefs.seen(self._health, await self._load_state())
            if self._health.due:
                await self._judge()
        except Gone as error:
            self._health = beliefs.gone(str(error))
            self._server.forget()
        except Silent as error:
            self._health = beliefs.silent(self._health, str(error))
        self._report(before)

    @contextlib.contextmanager
    def hushed(self) -> Iterator[None]:
        """Ask the server for its metrics only: a drain counts requests, and a status is one."""
        self._hushes += 1
        try:
            yield
        finally:
            self._hushes -= 1

    async def _load_state(self) -> LoadState:
        """Return the version's state; while hushed or once passed, the one that was seen last.

        The server counts status requests as traffic, and it never unloads its only version: so a
        server that passed is asked for its metrics alone.
        """
        if self._hushes or self._health.verdict is GoldenVerdict.PASSED:
            return LoadState(AVAILABLE if self._health.loaded else "unknown")
        return await self._server.load_state()

    async def _judge(self) -> None:
        fault = await self._golden_fault()
        requests = await self._server.request_count()
        self._health = beliefs.judged(self._health, fault, requests)

    def _count(self, requests: int) -> None:
        """Take in the server's counter; another server's starts again, and so does ours."""
        if requests < self._health.requests:
            self._server.forget()
        self._health = beliefs.counted(self._health, requests)

    def _report(self, before: Health) -> None:
        """Log what changed."""
        now = self._health
        if (before.verdict, before.ready) != (now.verdict, now.ready):
            level = logging.ERROR if now.verdict is GoldenVerdict.FAILED else logging.INFO
            state = "ready" if now.ready else "not ready"
            _log.log(level, "%s, golden %s: %s", state, now.verdict, now.message or "all is well")

    async def _golden_fault(self) -> str | None:
        """Ask every recorded prediction; return the first fault in words, or None."""
        if self._config.golden_set is None:
            return None
        try:
            golden = await asyncio.to_thread(self._read_golden, self._config.golden_set)
        except UnusableGoldenFile as error:
            return str(error)
        for number, sample in enumerate(golden.samples, start=1):
            asked = f"golden sample {number} of {len(golden.samples)}"
            try:
                reply = await self._server.predict(golden.signature, sample.inputs)
            except PredictionRefused as error:
                return f"{asked}: {error}"
            if found := mismatch(sample, reply, golden.tolerance):
                return f"{asked}: {found}"
        return None

    def _read_golden(self, expected: GoldenSet) -> GoldenFile:
        """Read the recorded predictions of the version."""
        path = (self._artifact / expected.path).resolve()
        if not path.is_relative_to(self._artifact.resolve()):
            raise UnusableGoldenFile(f"the golden set {expected.path} lies outside the artifact")
        golden = _parse(path, expected.path)
        if len(golden.samples) != expected.samples:
            raise UnusableGoldenFile(
                f"{expected.path} holds {len(golden.samples)} samples, "
                f"but the version records {expected.samples}"
            )
        return golden


def _parse(path: Path, name: str) -> GoldenFile:
    try:
        if path.stat().st_size > MAX_GOLDEN_BYTES:
            raise UnusableGoldenFile(f"{name} is larger than {MAX_GOLDEN_BYTES} bytes")
        return GoldenFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UnusableGoldenFile(f"{name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnusableGoldenFile(f"{name} is not a golden set: {where}: {first['msg']}") from error
