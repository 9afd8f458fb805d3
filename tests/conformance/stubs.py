"""The generated messages and clients of the serving API, in one place.

Import through the fixture `stubs`: these modules import TensorFlow.
"""

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from tensorflow import make_ndarray, make_tensor_proto
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

__all__ = [
    "ClassificationRequest",
    "GetModelMetadataRequest",
    "GetModelStatusRequest",
    "HealthCheckRequest",
    "HealthCheckResponse",
    "HealthStub",
    "ModelServiceStub",
    "MultiInferenceRequest",
    "PredictRequest",
    "PredictionServiceStub",
    "RegressionRequest",
    "ReloadConfigRequest",
    "SignatureDefMap",
    "TensorProto",
    "make_ndarray",
    "make_tensor_proto",
]
