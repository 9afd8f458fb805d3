"""The gRPC door: PredictionService, ModelService and, if wanted, the standard health service."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
from grpc.aio import ServicerContext as Context
from grpc_health.v1 import health, health_pb2_grpc
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.model_management_pb2 import (
    ReloadConfigRequest,
    ReloadConfigResponse,
)
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from modelyard_serving.answering import Answers
from modelyard_serving.errors import (
    LoadError,
    RequestError,
    StartupError,
    failed_precondition,
    invalid,
    unimplemented,
)
from modelyard_serving.model import Model

MAX_MESSAGE = (1 << 31) - 1
ENTRYPOINT = "GRPC"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc] # generated without types
    """Predictions of the served model."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def Predict(self, request: PredictRequest, context: Context) -> PredictResponse:  # noqa: N802
        """Compute the outputs of a signature."""
        async with _Aborting(context), self._counted(request, "Predict"):
            return await self._answers.predict(request)

    async def Classify(  # noqa: N802
        self, request: ClassificationRequest, context: Context
    ) -> ClassificationResponse:
        """Compute the classes of examples."""
        async with _Aborting(context), self._counted(request, "Classify"):
            return await self._answers.classify(request)

    async def Regress(  # noqa: N802
        self, request: RegressionRequest, context: Context
    ) -> RegressionResponse:
        """Compute a number per example."""
        async with _Aborting(context), self._counted(request, "Regress"):
            return await self._answers.regress(request)

    async def MultiInference(  # noqa: N802
        self, request: MultiInferenceRequest, context: Context
    ) -> MultiInferenceResponse:
        """Compute several signatures over the same examples; not counted, as in the original."""
        async with _Aborting(context):
            return await self._answers.multi_inference(request)

    async def GetModelMetadata(  # noqa: N802
        self, request: GetModelMetadataRequest, context: Context
    ) -> GetModelMetadataResponse:
        """Return the signatures of a version; not counted, as in the original."""
        async with _Aborting(context):
            return self._answers.metadata(request)

    def _counted(self, request: Any, api: str) -> AbstractAsyncContextManager[None]:
        return self._answers.counted(request.model_spec.name, api, ENTRYPOINT)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc] # generated without types
    """State of the served model."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def GetModelStatus(  # noqa: N802
        self, request: GetModelStatusRequest, context: Context
    ) -> GetModelStatusResponse:
        """Return the states of the model's versions."""
        async with _Aborting(context):
            return self._answers.status(request)

    async def HandleReloadConfigRequest(  # noqa: N802
        self, request: ReloadConfigRequest, context: Context
    ) -> ReloadConfigResponse:
        """Look for a newer version now, if the request names the model that is served."""
        async with _Aborting(context):
            await _reload(self._answers.model, request)
            return ReloadConfigResponse()


class _Aborting:
    """Ends the call with the status of a RequestError raised inside."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RequestError):
            await self._context.abort(error.code, error.message)


def build(
    answers: Answers, address: str, options: Sequence[tuple[str, int | str]], *, with_health: bool
) -> grpc.aio.Server:
    """Return a gRPC server that is bound to an address, but not started.

    Raises:
        StartupError: The address is taken or not ours.
    """
    defaults = {
        "grpc.max_receive_message_length": MAX_MESSAGE,
        "grpc.max_send_message_length": MAX_MESSAGE,
        # Else a second server on the same port would silently take half of the requests.
        "grpc.so_reuseport": 0,
    }
    server = grpc.aio.server(options=list((defaults | dict(options)).items()))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(answers), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(answers), server)
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise StartupError(f"cannot listen for gRPC on {address}: {error}") from error
    return server


async def _reload(model: Model, request: ReloadConfigRequest) -> None:
    if request.config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    configs = request.config.model_config_list.config
    served = {(config.name, config.base_path) for config in configs}
    plain = all(not (c.HasField("model_version_policy") or c.version_labels) for c in configs)
    if served != {(model.name, str(model.base_path))} or not plain:
        raise unimplemented(
            f"this server serves the newest version of model {model.name} in {model.base_path}; "
            "other models, paths, version policies and labels need a server of their own"
        )
    try:
        await model.refresh()
    except LoadError as error:
        raise failed_precondition(str(error)) from error
