"""Ask a served model for one prediction over REST and one over gRPC; prints one line of JSON.

Runs in a pod with the trainer's image, so that requests take the way of any client: Service DNS.
Usage: predict.py HOST MODEL NPZ-BASE64
"""

import base64
import io
import json
import sys
import urllib.request

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def over_rest(host: str, model: str, image: np.ndarray) -> tuple[int, float]:
    """Return label and probability that the REST API gives."""
    body = json.dumps({"instances": [{"image": image.tolist()}]}).encode()
    url = f"http://{host}:8501/v1/models/{model}:predict"
    with urllib.request.urlopen(url, data=body, timeout=30) as reply:
        (prediction,) = json.load(reply)["predictions"]
    return int(prediction["class"]), max(prediction["probabilities"])


def over_grpc(host: str, model: str, image: np.ndarray) -> tuple[int, float]:
    """Return label and probability that the gRPC API gives."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(image[None]))
    with grpc.insecure_channel(f"{host}:8500") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = stub.Predict(request, timeout=30).outputs
    label = int(tf.make_ndarray(outputs["class"])[0])
    return label, float(tf.make_ndarray(outputs["probabilities"])[0].max())


def main(host: str, model: str, encoded: str) -> None:
    """Print both answers and the true label."""
    sample = np.load(io.BytesIO(base64.b64decode(encoded)))
    image, label = sample["image"], int(sample["label"])
    answers = {"rest": over_rest(host, model, image), "grpc": over_grpc(host, model, image)}
    print(json.dumps({"label": label, **answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
