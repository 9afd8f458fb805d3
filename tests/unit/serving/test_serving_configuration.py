"""The two text files that flags name."""

import pytest

from modelyard_serving.configuration import Batching, read_batching, read_metrics_path
from modelyard_serving.errors import StartupError


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "config"
        path.write_text(text)
        return str(path)

    return write


def test_batching_parameters_have_the_original_s_form(file):
    text = """
      max_batch_size { value: 8 }  batch_timeout_micros { value: 200 }
      max_enqueued_batches { value: 3 }  num_batch_threads { value: 2 }
      thread_pool_name { value: "pool" }  allowed_batch_sizes: 2 allowed_batch_sizes: 8
    """
    assert read_batching(file(text)) == Batching(8, 200, 3, 2, "pool", (2, 8))
    assert read_batching(file("allowed_batch_sizes: [10, 1000]")).padded(3) == 10
    assert read_batching("") == read_batching(file("")) == Batching()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be at least 1, got 0"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be at least 1"),
        ("batch_timeout_micros { value: -1 }", "must not be negative"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "end with max_batch_size"),
        ("allowed_batch_sizes: [1000, 4]", "must increase"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs"),
        ("max_batch_size: 8 8", "cannot read BatchingParameters"),
    ],
)
def test_batching_parameters_that_cannot_be_obeyed_are_refused(file, text, reason):
    with pytest.raises(StartupError, match=reason):
        read_batching(file(text))


@pytest.mark.parametrize(
    ("rows", "padded"), [(1, 1), (2, 2), (3, 4), (5, 8), (600, 1000), (1000, 1000)]
)
def test_batches_are_padded_to_powers_of_two_up_to_the_largest(rows, padded):
    assert Batching().padded(rows) == padded


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true, path: "/m" }', "/m"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { path: "/m" }', None),
        ("", None),
    ],
)
def test_metrics_are_off_unless_enabled(file, text, path):
    assert read_metrics_path(file(text)) == path


def test_without_a_file_metrics_are_off():
    assert read_metrics_path("") is None


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StartupError, match=r"cannot read MonitoringConfig from .*absent"):
        read_metrics_path(str(tmp_path / "absent"))
