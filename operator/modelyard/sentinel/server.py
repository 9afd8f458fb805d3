"""What the sentinel asks of the model server over its REST API on the pod's loopback."""

import json
from dataclasses import dataclass

import aiohttp
from pydantic import Field, JsonValue, ValidationError

from modelyard.api.meta import Observed
from modelyard.api.serve import METRICS_PATH
from modelyard.sentinel.metrics import request_total

STATUS_TIMEOUT = aiohttp.ClientTimeout(total=5)
PREDICT_TIMEOUT = aiohttp.ClientTimeout(total=30)
AVAILABLE = "AVAILABLE"
BUSY = frozenset({429, 499, 503, 504})
"""Answers of a server that is overloaded or still loading: asking again may help."""


class Gone(Exception):  # noqa: N818 - an observation, not a fault of ours
    """Nothing listens at the server's address: it has not started yet, or it has stopped."""


class Silent(Exception):  # noqa: N818 - an observation, not a fault of ours
    """The server took the connection but gave no usable answer in time."""


class PredictionRefused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The server refused a prediction for a reason that asking again does not change."""


class _LoadStatus(Observed):
    error_code: str | int = Field("", alias="error_code")
    error_message: str = Field("", alias="error_message")


class _VersionStatus(Observed):
    version: str | int
    state: str
    status: _LoadStatus = _LoadStatus()


class _ModelStatus(Observed):
    statuses: tuple[_VersionStatus, ...] = Field((), alias="model_version_status")


class _ErrorReply(Observed):
    error: str


@dataclass(frozen=True, slots=True)
class LoadState:
    """What the server says of the version: its state, and the load error if there is one."""

    state: str
    error: str = ""

    @property
    def available(self) -> bool:
        """Whether the version answers predictions."""
        return self.state == AVAILABLE


class ModelServer:
    """One version of one model in the server beside us.

    Every method raises `Gone` when nothing listens and `Silent` when no usable answer comes.
    """

    def __init__(
        self, session: aiohttp.ClientSession, address: str, model: str, version: int
    ) -> None:
        self._session = session
        self._address = address.rstrip("/")
        self._model = model
        self._path = f"/v1/models/{model}/versions/{version}"
        self._own_requests = 0

    @property
    def own_requests(self) -> int:
        """Requests of ours that the running server has answered and counted as traffic."""
        return self._own_requests

    def forget(self) -> None:
        """Start counting again: another server has taken the place of the one before."""
        self._own_requests = 0

    async def load_state(self) -> LoadState:
        """Return the state of the version; a version the server does not know yet is `START`."""
        code, content = await self._request("GET", self._path)
        if code == 404:  # noqa: PLR2004 - the model server's way to say: not yet
            return LoadState("START")
        if code != 200:  # noqa: PLR2004
            raise Silent(f"GET {self._path} answered {code}: {_error_of(content)}")
        try:
            statuses = _ModelStatus.model_validate_json(content).statuses
        except ValidationError as error:
            raise Silent(f"GET {self._path} answered what no model server says") from error
        found = statuses[0] if statuses else _VersionStatus(version="", state="START")
        return LoadState(found.state, found.status.error_message)

    async def predict(self, signature: str, inputs: dict[str, JsonValue]) -> JsonValue:
        """Return the `outputs` of one prediction in column format.

        Raises:
            PredictionRefused: The server answered with an error that will not go away.
        """
        body = {"signature_name": signature, "inputs": inputs}
        code, content = await self._request("POST", f"{self._path}:predict", body)
        if code in BUSY:
            raise Silent(f"a prediction was put off with {code}: {_error_of(content)}")
        if code != 200:  # noqa: PLR2004
            raise PredictionRefused(f"the server answered {code}: {_error_of(content)}")
        outputs: JsonValue = _outputs_of(content)
        return outputs

    async def metrics_text(self) -> str:
        """Return the server's Prometheus exposition."""
        code, content = await self._request("GET", METRICS_PATH)
        if code != 200:  # noqa: PLR2004
            raise Silent(
                f"GET {METRICS_PATH} answered {code}: start the server with "
                "--monitoring_config_file and a REST port"
            )
        return content.decode(errors="replace")

    async def request_count(self) -> int:
        """Return how many requests the server has answered since it started."""
        text = await self.metrics_text()
        try:
            return request_total(text, self._model)
        except ValueError as error:
            raise Silent(f"the server's metrics cannot be parsed: {error}") from error

    async def _request(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Send one request; return status and body."""
        timeout = STATUS_TIMEOUT if body is None else PREDICT_TIMEOUT
        try:
            async with self._session.request(
                method, self._address + path, json=body, timeout=timeout
            ) as reply:
                self._own_requests += path != METRICS_PATH
                return reply.status, await reply.read()
        except aiohttp.ClientConnectorError as error:
            raise Gone(f"nothing answers at {self._address}") from error
        except TimeoutError as error:
            raise Silent(f"{method} {path} got no answer in {timeout.total:g} s") from error
        except aiohttp.ClientError as error:
            raise Silent(f"{method} {path} broke off: {error}") from error


def _outputs_of(content: bytes) -> JsonValue:
    """Read a prediction; NaN and Infinity arrive as bare words, which is not strict JSON."""
    try:
        reply = json.loads(content)
        outputs: JsonValue = reply["outputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionRefused(
            "the reply holds no `outputs`: " + content[:200].decode(errors="replace")
        ) from error
    return outputs


def _error_of(content: bytes) -> str:
    """Return the server's error text; it is not always valid JSON, so the raw text has to do."""
    try:
        return _ErrorReply.model_validate_json(content).error
    except ValidationError:
        return content[:300].decode(errors="replace").strip() or "no reason given"
