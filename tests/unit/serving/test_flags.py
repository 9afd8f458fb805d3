"""TensorFlow Serving's flags and their syntax."""

import pytest

from modelyard_serving.__main__ import main
from modelyard_serving.errors import StartupError, UsageError
from modelyard_serving.flags import Flags, parse, usage


def test_the_defaults_are_the_original_s():
    flags = parse([])
    assert (flags.port, flags.rest_api_port, flags.model_name) == (8500, 0, "default")
    assert (flags.max_num_load_retries, flags.load_retry_interval_micros) == (5, 60_000_000)
    assert (flags.file_system_poll_wait_seconds, flags.rest_api_timeout_in_ms) == (1, 30_000)
    assert flags.enable_model_warmup
    assert not flags.enable_batching
    assert not flags.enable_grpc_healthcheck_service


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--port=1", "port", 1),
        ("--model_name=a=b", "model_name", "a=b"),
        ("--model_name=", "model_name", ""),
        ("--enable_batching", "enable_batching", True),
        ("--enable_batching=true", "enable_batching", True),
        ("--enable_model_warmup=false", "enable_model_warmup", False),
        ("--enable_model_warmup=0", "enable_model_warmup", False),
    ],
)
def test_a_value_follows_an_equals_sign_and_a_switch_may_stand_alone(argument, name, value):
    assert getattr(parse([argument]), name) == value


@pytest.mark.parametrize(
    "argument",
    [
        "--no_such_flag=1",
        "--model_config_file=x",
        "-port=1",
        "port=1",
        "--port",
        "--port=",
        "--port=high",
        "--model_name",
        "--enable_batching=maybe",
        "--check",
        "",
    ],
)
def test_anything_else_is_refused(argument):
    with pytest.raises(UsageError):
        parse([argument])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"model_base_path": ""}, "--model_base_path is missing"),
        ({"port": 0}, "--port must be 1 to 65535, got 0"),
        ({"rest_api_port": 70000}, "--rest_api_port must be 0 to 65535, got 70000"),
        ({"port": 8500, "rest_api_port": 8500}, "cannot be the same"),
        ({"batching_parameters_file": "x"}, "without --enable_batching"),
        ({"max_num_load_retries": -1}, "--max_num_load_retries must not be negative, got -1"),
        ({"grpc_channel_arguments": "a"}, "must be KEY=VALUE"),
        (
            {
                "tensorflow_session_parallelism": 1,
                "tensorflow_intra_op_parallelism": 1,
                "tensorflow_inter_op_parallelism": 1,
            },
            "not all",
        ),
    ],
)
def test_values_that_cannot_work_are_refused(wrong, reason):
    with pytest.raises(StartupError, match=reason):
        Flags(**{"model_base_path": "/models/m", **wrong}).check()


def test_good_values_pass():
    Flags(model_base_path="/m", rest_api_port=8501).check()


def test_channel_arguments_are_numbers_where_they_can_be():
    text = "grpc.max_connection_age_ms=500,grpc.primary_user_agent=a=b"
    flags = Flags(grpc_channel_arguments=text)
    assert flags.channel_arguments == [
        ("grpc.max_connection_age_ms", 500),
        ("grpc.primary_user_agent", "a=b"),
    ]


@pytest.mark.parametrize(
    ("session", "intra", "inter", "expected"),
    [(0, 0, 0, (0, 0)), (3, 0, 0, (3, 3)), (0, 2, 0, (2, 0)), (0, 2, 1, (2, 1))],
)
def test_parallelism(session, intra, inter, expected):
    flags = Flags(
        tensorflow_session_parallelism=session,
        tensorflow_intra_op_parallelism=intra,
        tensorflow_inter_op_parallelism=inter,
    )
    assert flags.parallelism == expected


def test_an_unknown_flag_ends_with_usage_and_code_1(capsys):
    assert main(["--nope=1"]) == 1
    error = capsys.readouterr().err
    assert usage() in error
    assert error.splitlines()[-1] == "Failed to start server. Error: unknown argument: --nope=1"


def test_usage_names_every_flag():
    for name in Flags.__dataclass_fields__:
        assert f"--{name}=" in usage()


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert "TensorFlow Library: 2." in capsys.readouterr().out


@pytest.mark.parametrize("made", ["", "folder", "folder/notes"])
def test_a_base_path_without_versions_fails_at_once(tmp_path, capsys, made):
    (tmp_path / made).mkdir(parents=True, exist_ok=True)
    assert main([f"--model_base_path={tmp_path}/folder"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    expected = "no versions of the model found" if made else "could not find base path"
    assert last.startswith(f"Failed to start server. Error: {expected}")
