"""Whom the suite asks: the stand-in, or a server given on the command line.

python -m tests.conformance.models /models          # writes the model; serve /models/conformance
pytest tests/conformance --target HOST:8500 --rest-target HOST:8501
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import grpc
import pytest

MODEL = "conformance"


def pytest_addoption(parser):
    parser.addoption("--target", default=None, help="host:port of a server's gRPC")
    parser.addoption("--rest-target", default=None, help="host:port of the same server's REST")


@dataclass(frozen=True)
class Rest:
    """Asks over HTTP."""

    address: str

    def get(self, path):
        """Return status and JSON body of a GET below `/v1/models`."""
        return self._ask(urllib.request.Request(f"http://{self.address}/v1/models{path}"))

    def post(self, path, body):
        """Return status and JSON body of a POST; `body` is JSON, or bytes to send as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask(
            urllib.request.Request(f"http://{self.address}/v1/models{path}", data=content)
        )

    def _ask(self, request):
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - http
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@pytest.fixture(scope="session")
def addresses(request):
    """The server's gRPC and REST addresses."""
    target = request.config.getoption("--target", default=None)
    rest_target = request.config.getoption("--rest-target", default=None)
    if bool(target) != bool(rest_target):
        pytest.exit("give both --target and --rest-target", returncode=2)
    if target:
        return target, rest_target
    server = request.getfixturevalue("standin")
    return server.grpc, server.rest


@pytest.fixture(scope="session")
def rest(addresses):
    return Rest(addresses[1])


@pytest.fixture(scope="session")
def channel(addresses):
    with grpc.insecure_channel(addresses[0]) as channel:
        yield channel


@pytest.fixture(scope="session")
def prediction(channel, stubs):
    return stubs.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def models(channel, stubs):
    return stubs.ModelServiceStub(channel)
