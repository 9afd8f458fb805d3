from prometheus_client.parser import text_string_to_metric_families

from modelyard.sentinel.metrics import OwnFigures, exposition_of, relevant_lines, request_total

SERVER = """\
# TYPE :tensorflow:core:graph_runs counter
:tensorflow:core:graph_runs{} 7
# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="digits",status="OK"} 5
:tensorflow:serving:request_count{model_name="digits",status="INVALID_ARGUMENT"} 2
:tensorflow:serving:request_count{model_name="other",status="NOT_FOUND"} 9
# TYPE :tensorflow:serving:request_latency histogram
:tensorflow:serving:request_latency_bucket{model_name="digits",API="predict",\
entrypoint="REST",le="10"} 0
:tensorflow:serving:request_latency_bucket{model_name="digits",API="predict",\
entrypoint="REST",le="+Inf"} 5
:tensorflow:serving:request_latency_sum{model_name="digits",API="predict",entrypoint="REST"} 500
:tensorflow:serving:request_latency_count{model_name="digits",API="predict",entrypoint="REST"} 5
:tensorflow:serving:request_latency_bucket{model_name="",API="predict",entrypoint="REST",le="10"} 3
# TYPE :tensorflow:serving:model_warmup_latency histogram
:tensorflow:serving:model_warmup_latency_bucket{model_path="/models/digits/3",status="OK",\
le="+Inf"} 1
:tensorflow:serving:model_warmup_latency_sum{model_path="/models/digits/3",status="OK"} 9
:tensorflow:serving:model_warmup_latency_count{model_path="/models/digits/3",status="OK"} 1
# TYPE :tensorflow:serving:request_example_counts histogram
:tensorflow:serving:request_example_counts_sum{model="digits"} 5
"""
IDLE = OwnFigures(up=True, ready=True, own_requests=3)


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def exposed(server=SERVER, own=IDLE):
    body, fault = exposition_of(server, "digits", 3, own)
    return samples(body.decode()), fault


def key(name, **labels):
    return (name, tuple(sorted({"model": "digits", "version": "3", **labels}.items())))


def test_names_lose_their_colons_and_labels_gain_the_version():
    found, fault = exposed()
    assert fault is None
    assert found[key("modelyard_server_request_count_total", status="OK")] == 5
    latency = {"api": "predict", "entrypoint": "REST"}
    assert found[key("modelyard_server_request_latency_bucket", le="10", **latency)] == 0
    assert found[key("modelyard_server_request_latency_bucket", le="+Inf", **latency)] == 5
    assert found[key("modelyard_server_request_latency_sum", **latency)] == 500
    assert found[key("modelyard_server_model_warmup_latency_count", status="OK")] == 1


def test_only_chosen_families_of_this_model_are_exposed():
    found, _ = exposed()
    assert {name for name, _ in found} == {
        "modelyard_server_request_count_total",
        "modelyard_server_request_latency_bucket",
        "modelyard_server_request_latency_sum",
        "modelyard_server_request_latency_count",
        "modelyard_server_model_warmup_latency_bucket",
        "modelyard_server_model_warmup_latency_sum",
        "modelyard_server_model_warmup_latency_count",
        "modelyard_server_up",
        "modelyard_sentinel_ready",
        "modelyard_sentinel_requests_total",
    }
    assert sum(name == "modelyard_server_request_count_total" for name, _ in found) == 2


def test_the_sentinel_reports_its_own_calls():
    found, _ = exposed()
    assert found[key("modelyard_sentinel_requests_total")] == 3


def test_a_silent_server_still_leaves_the_sentinels_figures():
    found, fault = exposed(None, OwnFigures(up=False, ready=False, own_requests=0))
    assert fault is None
    assert found[key("modelyard_server_up")] == 0
    assert found[key("modelyard_sentinel_ready")] == 0


def test_an_unreadable_exposition_is_reported_not_raised():
    found, fault = exposed(":tensorflow:serving:request_count{model_name= 5\n")
    assert "cannot be parsed" in fault
    assert found[key("modelyard_server_up")] == 1


def test_the_request_total_is_over_all_statuses_of_this_model():
    assert request_total(SERVER, "digits") == 7
    assert request_total("", "digits") == 0


def test_a_thousand_other_series_are_not_parsed():
    noise = "".join(f":tensorflow:core:thing_{n}{{}} 1\n" for n in range(1000))
    assert relevant_lines(noise + SERVER) == relevant_lines(SERVER)
