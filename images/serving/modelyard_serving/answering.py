"""The calls of the prediction and model services, whichever door they came through."""

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from grpc import StatusCode
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from modelyard_serving import inference
from modelyard_serving.batching import Runner
from modelyard_serving.errors import RequestError, invalid
from modelyard_serving.metrics import Metrics
from modelyard_serving.model import Model
from modelyard_serving.servable import Servable
from modelyard_serving.signatures import Array, Signature

MICROS = 1e6
RUNTIME = "TF1"
"""The original's label for graphs that run in a session."""

SIGNATURE_DEF = "signature_def"
_LOG = logging.getLogger(__name__)

Response = TypeVar("Response")


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers requests about one model.

    Every method raises `RequestError`, and nothing else, for a request it cannot answer.
    """

    model: Model
    runner: Runner
    metrics: Metrics
    as_content: bool = False

    async def predict(self, request: PredictRequest) -> PredictResponse:
        """Compute the outputs of a signature."""
        servable = self.model.find(_spec(request))
        work = inference.predict(servable, request, as_content=self.as_content)
        return await self._computed("Predict", request.model_spec.name, work)

    async def predict_arrays(
        self, name: str, servable: Servable, signature: Signature, values: Mapping[str, Array]
    ) -> inference.Outputs:
        """Compute all outputs of a signature of a version found before, for the model `name`."""
        work = inference.predict_arrays(servable, signature, values)
        return await self._computed("Predict", name, work)

    async def classify(self, request: ClassificationRequest) -> ClassificationResponse:
        """Compute the classes of examples."""
        work = inference.classify(self.model.find(_spec(request)), request)
        return await self._computed("Classify", request.model_spec.name, work)

    async def regress(self, request: RegressionRequest) -> RegressionResponse:
        """Compute a number per example."""
        work = inference.regress(self.model.find(_spec(request)), request)
        return await self._computed("Regress", request.model_spec.name, work)

    async def multi_inference(self, request: MultiInferenceRequest) -> MultiInferenceResponse:
        """Compute several classify and regress signatures over the same examples."""
        specs = [task.model_spec for task in request.tasks]
        if not specs:
            raise invalid("Inference request has no tasks.")
        if len({(spec.name, spec.version.value) for spec in specs}) > 1:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name "
                "and version."
            )
        work = inference.multi_inference(self.model.find(specs[0]), request)
        return await self._computed("MultiInference", specs[0].name, work)

    def metadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        """Return the signatures of a version."""
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        servable = self.model.find(spec)
        response = GetModelMetadataResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = servable.version
        definitions = SignatureDefMap(signature_def=servable.meta_graph.signature_def)
        response.metadata[SIGNATURE_DEF].Pack(definitions)
        return response

    def status(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        """Return the states of the model's versions."""
        return GetModelStatusResponse(model_version_status=self.model.statuses(_spec(request)))

    @asynccontextmanager
    async def counted(self, name: str, api: str, entrypoint: str) -> AsyncIterator[None]:
        """Count a request and, when it is answered, how long it took."""
        started = time.perf_counter()
        code = StatusCode.CANCELLED
        try:
            yield
            code = StatusCode.OK
            micros = (time.perf_counter() - started) * MICROS
            self.metrics.request_latency.observe(micros, name, api, entrypoint)
        except RequestError as error:
            code = error.code
            raise
        finally:
            self.metrics.request_count.add(name, code.name)

    async def _computed(self, api: str, name: str, work: inference.Work[Response]) -> Response:
        try:
            outcome = await self.runner.run(work.program, work.feeds)
            response = work.respond(outcome.outputs)
        except RequestError:
            raise
        except Exception as error:
            _LOG.exception("%s failed", api)
            text = f"{api} failed in the server: {error!r}"
            raise RequestError(StatusCode.INTERNAL, text) from error
        self.metrics.runtime_latency.observe(outcome.seconds * MICROS, name, api, RUNTIME)
        if work.examples:
            self.metrics.example_counts.observe(work.examples, name)
            self.metrics.example_total.add(name, amount=work.examples)
        return response


def _spec(request: Any) -> ModelSpec:
    """Return whom a request asks for.

    Raises:
        RequestError: INVALID_ARGUMENT, it does not say.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec
