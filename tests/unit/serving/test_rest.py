"""REST answers that need a server in a certain state: slow, full, or about to stop."""

import asyncio
from http import HTTPStatus

import pytest
from aiohttp.test_utils import TestClient, TestServer
from grpc import StatusCode

from modelyard_serving.answering import Answers
from modelyard_serving.batching import Runner
from modelyard_serving.configuration import Batching
from modelyard_serving.errors import HTTP_STATUS
from modelyard_serving.metrics import Metrics
from modelyard_serving.model import LoadSettings, Model
from modelyard_serving.rest import RestApi
from modelyard_serving.servable import SessionSettings

pytest_plugins = ["tests.plugins.standin"]

PREDICT = "/v1/models/conformance:predict"
SPIN = {"signature_name": "spin", "instances": [{"rounds": 300, "x": 1.0}]}
QUICK = {"instances": [[1, 2, 3]]}


@pytest.fixture
async def client_of(model_folder):
    """Starts REST doors on the conformance model: `await client_of(seconds, batching)`."""
    opened = []

    async def start(timeout_seconds=60.0, batching=None):
        metrics = Metrics()
        settings = LoadSettings(SessionSettings())
        model = Model("conformance", model_folder / "conformance", settings, metrics)
        await model.refresh()
        runner = Runner(metrics, batching)
        api = RestApi(Answers(model, runner, metrics), timeout_seconds, "/metrics")
        client = TestClient(TestServer(api.application()))
        await client.start_server()
        opened.append((client, runner))
        return api, client

    yield start
    for client, runner in opened:
        await client.close()
        runner.close()


async def asked(client, body):
    async with client.post(PREDICT, json=body) as reply:
        return reply.status, await reply.json()


async def test_a_request_that_takes_too_long_is_given_up(client_of):
    _, client = await client_of(timeout_seconds=0.01)
    status, reply = await asked(client, SPIN)
    assert status == HTTPStatus.GATEWAY_TIMEOUT
    assert "--rest_api_timeout_in_ms" in reply["error"]
    async with client.get("/metrics") as metrics:
        counted = 'request_count{model_name="conformance",status="DEADLINE_EXCEEDED"} 1\n'
        assert counted in await metrics.text()


async def test_a_full_queue_is_told_apart_from_a_wrong_request(client_of):
    _, client = await client_of(batching=Batching(max_batch_size=1, max_enqueued_batches=1))
    answers = await asyncio.gather(*(asked(client, SPIN) for _ in range(4)))
    statuses = sorted(status for status, _ in answers)
    assert statuses[0] == HTTPStatus.OK
    assert statuses[-1] == HTTPStatus.SERVICE_UNAVAILABLE
    refused = next(reply for status, reply in answers if status != HTTPStatus.OK)
    assert "queue to which this task was submitted is full" in refused["error"]


async def test_a_stopping_door_asks_its_clients_to_leave(client_of):
    api, client = await client_of()
    async with client.post(PREDICT, json=QUICK) as reply:
        assert "Connection" not in reply.headers
    await api.stop(60)
    async with client.post(PREDICT, json=QUICK) as reply:
        assert (reply.status, reply.headers["Connection"]) == (HTTPStatus.OK, "close")


async def test_what_is_no_api_is_not_found(client_of):
    _, client = await client_of()
    for path in ("/", "/v2/models/conformance", "/metrics/"):
        async with client.get(path) as reply:
            assert reply.status == HTTPStatus.NOT_FOUND


def test_every_code_has_the_status_that_clients_of_the_original_expect():
    """Its http_server.cc; 499 is nginx's: the client has gone."""
    by_status = {}
    for code, status in HTTP_STATUS.items():
        by_status.setdefault(status, set()).add(code)
    code = StatusCode
    assert by_status == {
        200: {code.OK},
        400: {code.INVALID_ARGUMENT, code.FAILED_PRECONDITION, code.OUT_OF_RANGE},
        401: {code.UNAUTHENTICATED},
        403: {code.PERMISSION_DENIED},
        404: {code.NOT_FOUND},
        409: {code.ALREADY_EXISTS, code.ABORTED},
        429: {code.RESOURCE_EXHAUSTED},
        499: {code.CANCELLED},
        500: {code.UNKNOWN, code.INTERNAL, code.DATA_LOSS},
        501: {code.UNIMPLEMENTED},
        503: {code.UNAVAILABLE},
        504: {code.DEADLINE_EXCEEDED},
    }
