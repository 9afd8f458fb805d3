"""Start, failure to start, change of version and the end."""

import shutil
import threading
import time

import pytest

STATUS = "/v1/models/suite"
REQUESTS = ":tensorflow:serving:request_count"


def wait_until(holds):
    until = time.monotonic() + 60
    while not (found := holds()):
        assert time.monotonic() < until, "waited a minute in vain"
        time.sleep(0.05)
    return found


@pytest.fixture
def base(saved_model, tmp_path):
    folder = tmp_path / "served"
    shutil.copytree(saved_model, folder / "1")
    return folder


def test_a_stopped_server_answers_what_is_in_flight_and_exits_with_0(start, base):
    server = start(base).ready()
    answers = []
    body = {"signature_name": "slow", "inputs": 60_000}
    asking = threading.Thread(target=lambda: answers.append(server.predict(body)))
    asking.start()
    wait_until(lambda: _connections(server.rest_port) > 0)
    assert server.terminate() == 0, server.log.read_text()
    asking.join(60)
    assert answers == [(200, {"outputs": 60_000})]


def _connections(port):
    """Count established connections to a port of this machine."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_a_newer_version_takes_over_and_a_broken_one_does_not(start, base, saved_model):
    server = start(base, "--file_system_poll_wait_seconds=1", "--max_num_load_retries=0").ready()
    shutil.copytree(saved_model, base / "hidden")
    (base / "hidden").rename(base / "2")
    wait_until(lambda: _states(server).get("2") == "AVAILABLE")
    wait_until(lambda: _states(server) == {"2": "AVAILABLE", "1": "END"})
    (base / "3").mkdir()
    wait_until(lambda: _states(server).get("3") == "END")
    assert server.predict({"inputs": [[1, 2]]}) == (200, {"outputs": [[3.0, 6.0]]})
    (broken,) = server.rest("GET", f"{STATUS}/versions/3")[1]["model_version_status"]
    assert "cannot load the SavedModel" in broken["status"]["error_message"]


def _states(server):
    statuses = server.rest("GET", STATUS)[1]["model_version_status"]
    return {one["version"]: one["state"] for one in statuses}


def test_metrics_have_the_names_and_buckets_of_the_original(start, base):
    server = start(base).ready()
    before = server.metric(f'{REQUESTS}{{model_name="suite",status="OK"}}')
    server.predict({"inputs": [[1, 2]]})
    server.predict({"inputs": [[1, 2, 3]]})
    text = server.raw("GET", "/monitoring/prometheus/metrics")[1].decode()
    latency = ':tensorflow:serving:request_latency_bucket{model_name="suite",API="predict"'
    assert f'{latency},entrypoint="REST",le="708235"}} 1' in text
    edges = [line for line in text.splitlines() if line.startswith(latency)]
    assert len(edges) == 34
    assert server.metric(f'{REQUESTS}{{model_name="suite",status="OK"}}') == before + 1
    assert server.metric(f'{REQUESTS}{{model_name="suite",status="INVALID_ARGUMENT"}}') == 1
    assert server.metric(":tensorflow:serving:model_warmup_latency_count") == 1
    assert server.metric(":tensorflow:serving:runtime_latency_count") == 1


def test_broken_models_and_bad_flags_end_the_server_with_a_reason(start, base, tmp_path):
    """All start at once: most of their time is TensorFlow's import."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    (broken / "1" / "saved_model.pb").write_bytes(b"no model")
    badly_warmed = tmp_path / "badly-warmed"
    shutil.copytree(base, badly_warmed)
    (badly_warmed / "1" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"no records")
    retries = "--max_num_load_retries=0"
    begun = {
        "cannot load the SavedModel": start(broken, retries),
        "no versions of the model": start(nothing, retries),
        "warmup data is in TFRecord format": start(badly_warmed, retries),
        "unknown argument: --no_such_flag=1": start(base, "--no_such_flag=1"),
        "--port must be 1 to 65535": start(base, "--port=0"),
    }
    for words, server in begun.items():
        code, last = server.failed()
        assert (code, words in last) == (1, True), last


def test_a_port_that_is_taken_ends_the_server(server, start, base):
    code, last = start(base, f"--rest_api_port={server.rest_port}").failed()
    assert (code, str(server.rest_port) in last) == (1, True), last
