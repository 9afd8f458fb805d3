"""The model that is served: which versions there are, in which state, and which one answers."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from grpc import StatusCode
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec

from modelyard_serving.errors import LoadError, invalid, not_found
from modelyard_serving.metrics import Metrics
from modelyard_serving.servable import Servable, SessionSettings
from modelyard_serving.versions import newest_version
from modelyard_serving.warmup import warm_up

State = ModelVersionStatus.State
MICROS = 1e6
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How versions are loaded."""

    session: SessionSettings
    retries: int = 0
    retry_seconds: float = 60.0
    warm_up: bool = True
    warmup_iterations: int = 1


@dataclass(frozen=True, slots=True)
class _Version:
    state: int
    servable: Servable | None = None
    error: str = ""


class Model:
    """One model and its newest version.

    All methods run on the event loop; loading happens on a thread of its own, so that a version
    which is being replaced goes on answering.
    """

    def __init__(
        self, name: str, base_path: Path, settings: LoadSettings, metrics: Metrics
    ) -> None:
        self.name = name
        self.base_path = base_path
        self._settings = settings
        self._metrics = metrics
        self._versions: dict[int, _Version] = {}
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._loading = asyncio.Lock()

    def find(self, spec: ModelSpec) -> Servable:
        """Return the version a request asks for; without a version, the newest available.

        Raises:
            RequestError: NOT_FOUND, no such model or version; INVALID_ARGUMENT, no name or a label.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        if spec.WhichOneof("version_choice") == "version_label":
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        available = self._available() if spec.name == self.name else {}
        wanted = spec.version.value if spec.HasField("version") else max(available, default=-1)
        if wanted not in available:
            asked = f"Specific({spec.name}, {wanted})" if spec.HasField("version") else ""
            raise not_found(f"Servable not found for request: {asked or f'Latest({spec.name})'}")
        return available[wanted]

    def statuses(self, spec: ModelSpec) -> list[ModelVersionStatus]:
        """Return the state of the version asked for, or of every version, newest first.

        Raises:
            RequestError: NOT_FOUND, no such model or version.
        """
        known = self._versions if spec.name == self.name else {}
        if spec.HasField("version"):
            number = spec.version.value
            if number not in known:
                raise not_found(f"Could not find version {number} of model {spec.name}")
            return [_status(number, known[number])]
        if not known:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return [_status(number, known[number]) for number in sorted(known, reverse=True)]

    async def refresh(self) -> None:
        """Serve the newest version in the base path, then let go of the others.

        Raises:
            LoadError: There is no version, or the newest cannot be loaded; what is served stays.
        """
        async with self._loading:
            number, path = newest_version(self.base_path)
            known = self._versions.get(number)
            if known is not None and known.servable is not None:
                return
            if known is not None and known.error:
                raise LoadError(known.error)
            await self._load(number, path)
            for other in self._available():
                if other != number:
                    self._versions[other] = _Version(State.END)
                    _LOG.info("unloaded version %s", other)

    async def watch(self, seconds: float) -> None:
        """Look for a newer version every `seconds`, for ever."""
        while True:
            await asyncio.sleep(seconds)
            before = dict(self._versions)
            try:
                await self.refresh()
            except LoadError as error:
                if before != self._versions:
                    _LOG.error("%s", error)

    def _available(self) -> dict[int, Servable]:
        return {
            number: version.servable
            for number, version in self._versions.items()
            if version.servable is not None
        }

    async def _load(self, number: int, path: Path) -> None:
        self._versions[number] = _Version(State.LOADING)
        _LOG.info("loading version %s of model %s from %s", number, self.name, path)
        try:
            servable = await self._load_with_retries(lambda: self._loaded(number, path))
        except LoadError as error:
            self._versions[number] = _Version(State.END, error=str(error))
            raise
        self._versions[number] = _Version(State.AVAILABLE, servable)
        _LOG.info("version %s of model %s is available", number, self.name)

    async def _load_with_retries(self, load: Callable[[], Servable]) -> Servable:
        loop = asyncio.get_running_loop()
        for left in reversed(range(self._settings.retries + 1)):
            try:
                return await loop.run_in_executor(self._loader, load)
            except LoadError as error:
                if not left:
                    raise
                _LOG.error("%s; %s more tries, the next in %s s", error, left, self._pause)
            await asyncio.sleep(self._pause)
        raise AssertionError("the last try returns or raises")

    @property
    def _pause(self) -> float:
        return self._settings.retry_seconds

    def _loaded(self, number: int, path: Path) -> Servable:
        """Load and warm up on the loader's thread."""
        started = time.perf_counter()
        try:
            servable = Servable(number, path, self._settings.session)
        except LoadError:
            self._metrics.load_attempts.add(str(path), "fail")
            raise
        self._metrics.load_attempts.add(str(path), "success")
        micros = (time.perf_counter() - started) * MICROS
        self._metrics.load_latency.add(str(path), amount=round(micros))
        if self._settings.warm_up:
            records = warm_up(servable, self._settings.warmup_iterations, self._metrics)
            _LOG.info("replayed %s warm-up records", records)
        return servable


def _status(number: int, version: _Version) -> ModelVersionStatus:
    status = ModelVersionStatus(version=number, state=version.state)
    status.status.SetInParent()
    if version.error:
        status.status.error_code = StatusCode.UNKNOWN.value[0]
        status.status.error_message = version.error
    return status
