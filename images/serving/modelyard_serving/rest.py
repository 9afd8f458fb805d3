"""The REST door: paths, bodies and errors of the original, and the metrics beside them."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from grpc import StatusCode
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from modelyard_serving import json_replies, json_requests
from modelyard_serving.answering import SIGNATURE_DEF, Answers
from modelyard_serving.errors import HTTP_STATUS, RequestError, invalid
from modelyard_serving.servable import Servable
from modelyard_serving.signatures import DEFAULT_SIGNATURE, Signature

ENTRYPOINT = "REST"
_LOG = logging.getLogger(__name__)

_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICTION = re.compile(
    rf"(?i)/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)"
)
_INSPECTION = re.compile(rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>/metadata)?")
_API = re.compile(r"(?i)/v1/.*")
MAX_VERSION = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class _Call:
    """A request's path, taken apart."""

    spec: ModelSpec
    method: str = ""
    """`predict`, `classify` or `regress`; empty when nothing is to be computed."""
    metadata: bool = False


class RestApi:
    """Answers HTTP requests."""

    def __init__(self, answers: Answers, timeout_seconds: float, metrics_path: str | None) -> None:
        self._answers = answers
        self._timeout = timeout_seconds or None
        self._metrics_path = metrics_path
        self._begun = 0
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def application(self) -> web.Application:
        """Return the application; it takes bodies of any size, as the original."""
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def stop(self, seconds: float) -> None:
        """Answer what has begun, then ask its clients to leave; wait at most `seconds`.

        aiohttp alone drops what arrives after it was told to stop, hence also the rest of a body.
        """
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def _handle(self, request: web.Request) -> web.Response:
        self._begun += 1
        self._idle.clear()
        try:
            response = await self._response(request)
        finally:
            self._begun -= 1
            if not self._begun:
                self._idle.set()
        if self._stopping:
            response.force_close()
        return response

    async def _response(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        if self._metrics_path is not None and path == self._metrics_path:
            return web.Response(text=self._answers.metrics.exposition())
        if not _API.fullmatch(path):
            return web.Response(status=404)
        try:
            content = await self._counted(request.method, path, await request.read())
        except RequestError as error:
            return _reply(json_replies.error(error.message), HTTP_STATUS[error.code])
        return _reply(content)

    async def _counted(self, http_method: str, path: str, body: bytes) -> bytes:
        try:
            call = _parsed(http_method, path)
        except RequestError:
            async with self._answers.counted("", "", ENTRYPOINT):
                raise
        async with self._answers.counted(call.spec.name, call.method, ENTRYPOINT):
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._answer(call, body)
            except TimeoutError as error:
                raise RequestError(
                    StatusCode.DEADLINE_EXCEEDED,
                    f"no answer within --rest_api_timeout_in_ms ({self._timeout} s)",
                ) from error

    async def _answer(self, call: _Call, body: bytes) -> bytes:
        methods: dict[str, Callable[[ModelSpec, bytes], Awaitable[bytes]]] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }
        if call.method:
            return await methods[call.method](call.spec, body)
        if call.metadata:
            request = GetModelMetadataRequest(model_spec=call.spec, metadata_field=[SIGNATURE_DEF])
            return json_replies.metadata(self._answers.metadata(request))
        return json_replies.status(
            self._answers.status(GetModelStatusRequest(model_spec=call.spec))
        )

    async def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        document = json_requests.parsed(body)
        spec.signature_name = json_requests.signature_name(document)
        servable = self._answers.model.find(spec)
        signature = _signature(servable, spec.signature_name or DEFAULT_SIGNATURE)
        values, by_rows = json_requests.arrays(document, signature.inputs)
        outputs = await self._answers.predict_arrays(spec.name, servable, signature, values)
        return (json_replies.rows if by_rows else json_replies.columns)(outputs)

    async def _classify(self, spec: ModelSpec, body: bytes) -> bytes:
        document = json_requests.parsed(body)
        spec.signature_name = json_requests.signature_name(document)
        request = ClassificationRequest(model_spec=spec, input=json_requests.examples(document))
        return json_replies.classifications(await self._answers.classify(request))

    async def _regress(self, spec: ModelSpec, body: bytes) -> bytes:
        document = json_requests.parsed(body)
        spec.signature_name = json_requests.signature_name(document)
        request = RegressionRequest(model_spec=spec, input=json_requests.examples(document))
        return json_replies.regressions(await self._answers.regress(request))


def _signature(servable: Servable, name: str) -> Signature:
    if name not in servable.signatures:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    return servable.signatures[name]


def _parsed(http_method: str, path: str) -> _Call:
    """Take a path apart.

    Raises:
        RequestError: INVALID_ARGUMENT, there is nothing at this path for this method.
    """
    pattern = {"POST": _PREDICTION, "GET": _INSPECTION}.get(http_method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise invalid(f"Malformed request: {http_method} {path}")
    parts = match.groupdict()
    if not parts["name"]:
        raise invalid("Missing model name in request.")
    spec = ModelSpec(name=unquote(parts["name"]))
    if parts["version"]:
        if int(parts["version"]) > MAX_VERSION:
            raise invalid(f"Failed to convert version: {parts['version']} to numeric.")
        spec.version.value = int(parts["version"])
    if parts["label"]:
        spec.version_label = unquote(parts["label"])
    method = (parts.get("method") or "").lower()
    return _Call(spec, method, bool(parts.get("metadata")))


def _reply(content: bytes, status: int = 200) -> web.Response:
    return web.Response(body=content, status=status, content_type="application/json")
