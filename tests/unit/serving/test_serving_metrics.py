"""The exposition: names, buckets and labels of the original."""

from prometheus_client.parser import text_string_to_metric_families

from modelyard_serving.metrics import Histogram, Metrics


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_names_begin_with_a_colon_and_nothing_is_appended():
    metrics = Metrics()
    metrics.request_count.add("m", "OK")
    metrics.request_count.add("m", "OK")
    metrics.request_latency.observe(25, "m", "Predict", "GRPC")
    text = metrics.exposition()
    assert "# TYPE :tensorflow:serving:request_count counter" in text
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 2\n' in text
    assert (
        ':tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",'
        'entrypoint="GRPC",le="32.4"} 1\n' in text
    )


def test_a_histogram_has_33_edges_of_10_times_1_8_to_the_k():
    histogram = Histogram("h", ())
    histogram.observe(708235)
    edges = [line.split('"')[1] for line in histogram.lines() if "_bucket" in line]
    assert len(edges) == 34
    assert edges[:3] == ["10", "18", "32.4"]
    assert edges[19] == "708235"
    assert edges[-1] == "+Inf"


def test_buckets_add_up():
    histogram = Histogram("h", ("a",), (1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value, "x")
    assert samples("\n".join(histogram.lines()) + "\n") == {
        ("h_bucket", ("a", "x"), ("le", "1")): 2,
        ("h_bucket", ("a", "x"), ("le", "2")): 3,
        ("h_bucket", ("a", "x"), ("le", "+Inf")): 4,
        ("h_sum", ("a", "x")): 12,
        ("h_count", ("a", "x")): 4,
    }


def test_label_values_are_escaped():
    metrics = Metrics()
    metrics.request_count.add('a"b\\c\nd', "OK")
    assert ':tensorflow:serving:request_count{model_name="a\\"b\\\\c\\nd"' in metrics.exposition()
