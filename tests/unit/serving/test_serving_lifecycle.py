"""The server as a process: what it opens, why it does not start, and how it ends."""

import json
import shutil
import socket
import urllib.error
import urllib.request

import pytest

from tests.standin import METRICS_PATH, WAIT_SECONDS, StandIn

pytest_plugins = ["tests.plugins.standin"]

SERVING = ":tensorflow:serving:"
PREDICT = "/v1/models/conformance:predict"
BODY = json.dumps({"inputs": [[1, 2, 3]]}).encode()


@pytest.fixture
def start(tmp_path):
    """Starts servers and ends them after the test."""
    started = []

    def begin(base_path, *flags):
        started.append(StandIn(tmp_path / f"server-{len(started)}.log", base_path, *flags))
        return started[-1]

    yield begin
    for server in started:
        server.stop()


def metrics(server):
    """Return the values of the server's series."""
    lines = [line for line in server.get(METRICS_PATH).splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}


def predicted(server, body=BODY):
    """Ask over REST; return the status."""
    request = urllib.request.Request(f"http://{server.rest}{PREDICT}", body)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - loopback
            return reply.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_metrics_have_the_names_and_buckets_of_the_original(standin):
    of = 'model_name="conformance"'
    latency = f'{{{of},API="predict",entrypoint="REST"'
    expected = {
        f'{SERVING}request_count{{{of},status="OK"}}',
        f'{SERVING}request_count{{{of},status="INVALID_ARGUMENT"}}',
        f"{SERVING}request_latency_count{latency}}}",
        f'{SERVING}request_latency_bucket{latency},le="+Inf"}}',
        f'{SERVING}runtime_latency_count{{{of},API="Predict",runtime="TF1"}}',
    }
    assert [predicted(standin), predicted(standin, b"{}")] == [200, 400]
    before = metrics(standin)
    predicted(standin)
    predicted(standin, b"{}")
    after = metrics(standin)
    assert expected <= {series for series in after if after[series] == before[series] + 1}
    bucket = f"{SERVING}request_latency_bucket{latency}"
    assert sum(series.startswith(bucket) for series in after) == 34
    assert f'{bucket},le="708235"}}' in after


def test_the_health_service_answers_where_it_was_asked_for(standin, channel_to, stubs):
    health = stubs.HealthStub(channel_to(standin))
    answer = health.Check(stubs.HealthCheckRequest(), timeout=60)
    assert answer.status == stubs.HealthCheckResponse.SERVING


def test_messages_beyond_the_default_limit_pass(standin, channel_to, stubs):
    text = b"x" * (6 << 20)
    values = {
        "count": stubs.make_tensor_proto([1], "int64"),
        "text": stubs.make_tensor_proto([text]),
        "flag": stubs.make_tensor_proto([True]),
        "ratio": stubs.make_tensor_proto([[1.0, 2.0]], "float64"),
    }
    request = stubs.PredictRequest(inputs=values, output_filter=["text_bytes"])
    request.model_spec.name, request.model_spec.signature_name = "conformance", "mixed"
    prediction = stubs.PredictionServiceStub(channel_to(standin))
    reply = prediction.Predict(request, timeout=60)
    assert reply.outputs["text_bytes"].string_val[0] == text


def test_a_reload_is_obeyed_for_what_is_served_and_refused_for_anything_else(
    standin, channel_to, stubs, model_folder
):
    import grpc

    models = stubs.ModelServiceStub(channel_to(standin))

    def reload(name, path):
        request = stubs.ReloadConfigRequest()
        request.config.model_config_list.config.add(name=name, base_path=str(path))
        return models.HandleReloadConfigRequest(request, timeout=60)

    assert reload("conformance", model_folder / "conformance").status.error_code == 0
    with pytest.raises(grpc.RpcError) as refused:
        reload("other", model_folder / "mlp")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "need a server of their own" in refused.value.details()
    with pytest.raises(grpc.RpcError) as refused:
        models.HandleReloadConfigRequest(stubs.ReloadConfigRequest(), timeout=60)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def channel_to():
    """Opens channels that take messages of any size."""
    import grpc

    opened = []

    def open_to(server):
        unlimited = [("grpc.max_receive_message_length", -1)]
        opened.append(grpc.insecure_channel(server.grpc, unlimited))
        return opened[-1]

    yield open_to
    for channel in opened:
        channel.close()


def test_a_stopped_server_answers_what_is_in_flight_and_exits_with_0(start, model_folder):
    """The server has begun a request, and said so, before it is told to stop."""
    server = start(model_folder / "warm", "--enable_batching").wait_ready()
    assert predicted(server) == 200
    assert metrics(server)[f"{SERVING}batching_session:processed_batch_size_count{{}}"] == 1
    with socket.create_connection(("127.0.0.1", server.rest_port), WAIT_SECONDS) as client:
        client.sendall(
            f"POST {PREDICT} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        server.process.terminate()
        server.wait_for_log("finishing those in flight")
        client.sendall(BODY)
        head, _, content = b"".join(iter(lambda: client.recv(1000), b"")).partition(b"\r\n\r\n")
    assert server.process.wait(WAIT_SECONDS) == 0, server.log.read_text()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(content) == {"outputs": [[2.5, 3.0, 3.5]]}


def test_what_keeps_a_server_from_starting_is_its_last_line(start, standin, model_folder, tmp_path):
    """All start at once: most of their time is TensorFlow's import."""
    broken = tmp_path / "broken"
    shutil.copytree(model_folder / "mlp", broken)
    (broken / "1" / "saved_model.pb").write_bytes(b"no model")
    taken = f"--rest_api_port={standin.rest_port}"
    begun = {
        "cannot load the SavedModel": start(broken),
        "warm-up record 1": start(model_folder / "refusing"),
        f"0.0.0.0:{standin.rest_port}": start(model_folder / "mlp", taken),
    }
    for words, server in begun.items():
        code, last = server.ended()
        assert code == 1
        assert last.startswith("Failed to start server. Error: ")
        assert words in last
