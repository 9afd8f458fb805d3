"""Ask a served model without pause until /tmp/stop exists; print what went wrong, as JSON.

Runs in a pod. Three clients at once, each like many in the field: one connects anew for each
request, one keeps its connection and replaces it when the server has closed it (RFC 9112, 9.3.1),
one has a gRPC channel. Usage: load.py HOST MODEL NPZ-BASE64 MAX-SECONDS PAUSE-SECONDS
"""

import base64
import http.client
import io
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

STOP = Path("/tmp/stop")  # noqa: S108 - in a pod of its own
TELL_SECONDS = 5
TIMEOUT = 10
OK = 200
CLASSES = 10


class Client(threading.Thread):
    """One client: counts what it asked, keeps what went wrong."""

    def __init__(self, place: tuple[str, str], image: Any, until: float, pause: float) -> None:
        super().__init__()
        self.host, self.model = place
        self.image, self.until, self.pause = image, until, pause
        self.requests = 0
        self.replaced = 0
        self.failures: list[str] = []
        self.versions: Counter[int] = Counter()

    def ask(self) -> None:
        """Send one request; raise if its answer is no prediction."""
        raise NotImplementedError

    def run(self) -> None:
        """Ask until told to stop."""
        while not STOP.exists() and time.monotonic() < self.until:
            self.requests += 1
            started = time.time()
            try:
                self.ask()
            except Exception as error:
                lasted = time.time() - started
                self.failures.append(f"{started:.2f} after {lasted:.2f} s: {error!r}"[:300])
            time.sleep(self.pause)

    def report(self) -> dict[str, Any]:
        """Return what was asked, and what went wrong."""
        found: dict[str, Any] = {"requests": self.requests, "failed": len(self.failures)}
        found |= {"replaced": self.replaced, "versions": dict(self.versions)}
        return found | {"failures": self.failures[:20]}


class Rest(Client):
    """A connection for each request."""

    def ask(self) -> None:
        """Ask over a connection of its own."""
        connection = self.connect()
        try:
            self.exchange(connection)
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection(self.host, 8501, timeout=TIMEOUT)

    def exchange(self, connection: http.client.HTTPConnection) -> None:
        """Send one request and look at its answer."""
        body = json.dumps({"instances": [{"image": self.image.tolist()}]})
        connection.request("POST", f"/v1/models/{self.model}:predict", body)
        reply = connection.getresponse()
        content = reply.read()
        if reply.status != OK:
            raise RuntimeError(f"{reply.status} {content[:200]!r}")
        (prediction,) = json.loads(content)["predictions"]
        if len(prediction["probabilities"]) != CLASSES:
            raise RuntimeError(f"no prediction: {content[:200]!r}")


class KeptRest(Rest):
    """One connection for as long as the server keeps it."""

    kept: http.client.HTTPConnection | None = None

    def ask(self) -> None:
        """Ask over the connection that is kept."""
        if self.kept is None:
            self.kept = self.connect()
            self.exchange(self.kept)
            return
        try:
            self.exchange(self.kept)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.kept.close()
            self.kept = None
            self.replaced += 1
            self.ask()


class Grpc(Client):
    """One channel; gRPC itself moves it when the server says goodbye."""

    def __init__(self, place: tuple[str, str], image: Any, until: float, pause: float) -> None:
        super().__init__(place, image, until, pause)
        self.channel = grpc.insecure_channel(f"{self.host}:8500")
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def ask(self) -> None:
        """Ask over the channel."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.inputs["image"].CopyFrom(tf.make_tensor_proto(self.image[None]))
        reply = self.stub.Predict(request, timeout=TIMEOUT)
        self.versions[reply.model_spec.version.value] += 1


def main(host: str, model: str, encoded: str, seconds: str, pause: str) -> None:
    """Run the three clients; tell how far they are, and print what they report as the last line."""
    sample = np.load(io.BytesIO(base64.b64decode(encoded)))
    until = time.monotonic() + float(seconds)
    kinds: dict[str, type[Client]] = {"rest": Rest, "kept": KeptRest, "grpc": Grpc}
    clients = {
        name: kind((host, model), sample["image"], until, float(pause))
        for name, kind in kinds.items()
    }
    for client in clients.values():
        client.start()
    print("started", flush=True)
    for client in clients.values():
        while client.is_alive():
            client.join(TELL_SECONDS)
            print(sum(each.requests for each in clients.values()), "requests", flush=True)
    print(json.dumps({name: client.report() for name, client in clients.items()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
