"""The command line: TensorFlow Serving's flags and syntax, as far as this server obeys them.

A flag of the original that is not listed here is refused like any unknown one, rather than accepted
and ignored.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from modelyard_serving.errors import StartupError, UsageError

PROGRAM = "tensorflow_model_server"
_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"false", "0"})


def _flag(default: object, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True)
class Flags:
    """The values of all flags; the field names are the flags' names."""

    port: int = _flag(8500, "TCP port of gRPC.")
    rest_api_port: int = _flag(0, "TCP port of HTTP/REST; 0 switches REST off.")
    rest_api_timeout_in_ms: int = _flag(30000, "Longest time for a REST request, milliseconds.")
    model_name: str = _flag("default", "Name of the model in requests.")
    model_base_path: str = _flag("", "Folder that holds one numbered folder per version.")
    saved_model_tags: str = _flag("serve", "Comma-separated tags of the meta graph to load.")
    file_system_poll_wait_seconds: int = _flag(
        1, "Seconds between looks for a newer version; 0 looks once, at start."
    )
    max_num_load_retries: int = _flag(5, "How often a failed load is tried again.")
    load_retry_interval_micros: int = _flag(
        60_000_000, "Microseconds from a failed load to the next try."
    )
    enable_model_warmup: bool = _flag(
        True, "Replay assets.extra/tf_serving_warmup_requests before a version is available."
    )
    num_request_iterations_for_warmup: int = _flag(
        0, "How often each warm-up request is replayed; 0 means once."
    )
    enable_batching: bool = _flag(False, "Merge waiting requests of one kind into one run.")
    batching_parameters_file: str = _flag(
        "", "Text file with BatchingParameters; needs --enable_batching."
    )
    tensorflow_session_parallelism: int = _flag(
        0, "Threads within and between operations, both; 0 lets TensorFlow choose."
    )
    tensorflow_intra_op_parallelism: int = _flag(0, "Threads within an operation.")
    tensorflow_inter_op_parallelism: int = _flag(0, "Threads between operations.")
    monitoring_config_file: str = _flag("", "Text file with MonitoringConfig.")
    enable_grpc_healthcheck_service: bool = _flag(False, "Serve grpc.health.v1.Health.")
    grpc_channel_arguments: str = _flag("", "Comma-separated KEY=VALUE list for the gRPC server.")
    enable_serialization_as_tensor_content: bool = _flag(
        False, "Send predictions as raw bytes (tensor_content) instead of repeated fields."
    )
    version: bool = _flag(False, "Print the version and leave.")

    def check(self) -> None:
        """Refuse values that no server can start with.

        Raises:
            StartupError: A value is out of range, or two flags contradict each other.
        """
        for problem, found in _problems(self).items():
            if found:
                raise StartupError(problem)

    @property
    def channel_arguments(self) -> list[tuple[str, int | str]]:
        """The gRPC server's options; a value that is a number is passed as one."""
        pairs = (item.split("=", 1) for item in self.grpc_channel_arguments.split(",") if item)
        return [(key, _number_or_text(value)) for key, value in pairs]

    @property
    def parallelism(self) -> tuple[int, int]:
        """Threads within and between operations; 0 lets TensorFlow choose."""
        if self.tensorflow_intra_op_parallelism > 0 or self.tensorflow_inter_op_parallelism > 0:
            return self.tensorflow_intra_op_parallelism, self.tensorflow_inter_op_parallelism
        return self.tensorflow_session_parallelism, self.tensorflow_session_parallelism


def parse(arguments: Sequence[str]) -> Flags:
    """Return the flags of a command line (without the program's name).

    Raises:
        UsageError: A flag is unknown or its value is not of its type.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        name, _, text = argument.removeprefix("--").partition("=")
        known = _FIELDS.get(name) if argument.startswith("--") else None
        if known is None:
            raise UsageError(f"unknown argument: {argument}")
        values[name] = _value(known, text, given="=" in argument)
    return Flags(**values)


def usage() -> str:
    """Return the list of flags with defaults and meanings."""
    lines = [f"usage: {PROGRAM}", "Flags:"]
    for item in _FIELDS.values():
        default = str(item.default).lower() if isinstance(item.default, bool) else item.default
        kind = getattr(item.type, "__name__", item.type)
        lines.append(f"\t--{item.name}={default!s:<24}\t{kind}\t{item.metadata['help']}")
    return "\n".join(lines)


def _value(item: dataclasses.Field[object], text: str, *, given: bool) -> object:
    if item.type is bool and not given:
        return True
    if item.type is str and given:
        return text
    try:
        return _bool(text) if item.type is bool else int(text)
    except ValueError as error:
        kind = getattr(item.type, "__name__", item.type)
        raise UsageError(
            f"--{item.name} needs a value of type {kind} as in --{item.name}={item.default}, "
            f"got {text!r}"
        ) from error


def _bool(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value


def _problems(flags: Flags) -> dict[str, bool]:
    """Return every reason to refuse, and whether it applies."""
    return {
        "--model_base_path is missing: name the folder that holds the numbered version folders": (
            not flags.model_base_path
        ),
        f"--port must be 1 to 65535, got {flags.port}": not 0 < flags.port < 1 << 16,
        f"--rest_api_port must be 0 to 65535, got {flags.rest_api_port}": (
            not 0 <= flags.rest_api_port < 1 << 16
        ),
        "--rest_api_port cannot be the same as --port": flags.rest_api_port == flags.port,
        "--batching_parameters_file is set without --enable_batching": (
            bool(flags.batching_parameters_file) and not flags.enable_batching
        ),
        "configure --tensorflow_session_parallelism, or --tensorflow_intra_op_parallelism and "
        "--tensorflow_inter_op_parallelism, not all": (
            flags.tensorflow_session_parallelism > 0
            and flags.tensorflow_intra_op_parallelism > 0
            and flags.tensorflow_inter_op_parallelism > 0
        ),
        "--grpc_channel_arguments must be KEY=VALUE[,KEY=VALUE...], got "
        f"{flags.grpc_channel_arguments!r}": any(
            "=" not in item for item in flags.grpc_channel_arguments.split(",") if item
        ),
    } | {
        f"--{name} must not be negative, got {getattr(flags, name)}": getattr(flags, name) < 0
        for name in _NOT_NEGATIVE
    }


_FIELDS = MappingProxyType({item.name: item for item in dataclasses.fields(Flags)})
_NOT_NEGATIVE = (
    "rest_api_timeout_in_ms",
    "file_system_poll_wait_seconds",
    "max_num_load_retries",
    "load_retry_interval_micros",
    "num_request_iterations_for_warmup",
    "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
)
