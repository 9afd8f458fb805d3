"""Starts everything, serves, and stops in order.

    load and warm up ─> open the ports ─> serve ─SIGTERM─> close the ports ─> answer what is in
                                                           flight ─> exit 0

The original ignores SIGTERM and has to be killed; this server ends, because whoever sent the
signal has already stopped sending requests.
"""

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from modelyard_serving import grpc_service
from modelyard_serving.answering import Answers
from modelyard_serving.batching import Runner
from modelyard_serving.configuration import read_batching, read_metrics_path
from modelyard_serving.errors import LoadError, StartupError
from modelyard_serving.flags import Flags
from modelyard_serving.metrics import Metrics
from modelyard_serving.model import LoadSettings, Model
from modelyard_serving.rest import RestApi
from modelyard_serving.servable import SessionSettings

ADDRESS = "0.0.0.0"  # noqa: S104 - a server in a pod is there for the others
GRACE_SECONDS = 30.0
"""How long requests in flight may take after SIGTERM."""

CLOSING_SECONDS = 1.0
"""How long answers may take to leave, once all are given."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags and the files they name say."""

    flags: Flags
    load: LoadSettings
    metrics_path: str | None

    @classmethod
    def of(cls, flags: Flags) -> "Settings":
        """Read the files that flags name.

        Raises:
            StartupError: A file is missing or wrong.
        """
        within, between = flags.parallelism
        session = SessionSettings(tuple(flags.saved_model_tags.split(",")), within, between)
        load = LoadSettings(
            session=session,
            retries=flags.max_num_load_retries,
            retry_seconds=flags.load_retry_interval_micros / 1e6,
            warm_up=flags.enable_model_warmup,
            warmup_iterations=flags.num_request_iterations_for_warmup,
        )
        return cls(flags, load, read_metrics_path(flags.monitoring_config_file))


async def serve(flags: Flags) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        StartupError: The model cannot be loaded, or a port is taken.
    """
    settings = Settings.of(flags)
    batching = read_batching(flags.batching_parameters_file) if flags.enable_batching else None
    stop = _stop_signal()
    metrics = Metrics()
    model = Model(flags.model_name, Path(flags.model_base_path), settings.load, metrics)
    await _loaded(model, stop)
    runner = Runner(metrics, batching)
    answers = Answers(model, runner, metrics, flags.enable_serialization_as_tensor_content)
    await _serve_until(stop, answers, settings)
    runner.close()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _loaded(model: Model, stop: asyncio.Event) -> None:
    """Load the first version, unless a signal comes first."""
    loading = asyncio.create_task(model.refresh())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        _LOG.info("stopped while the model was loading")
        logging.shutdown()
        # The loader's thread is inside TensorFlow and cannot be interrupted.
        os._exit(0)
    stopping.cancel()
    try:
        await loading
    except LoadError as error:
        raise StartupError(str(error)) from error


async def _serve_until(stop: asyncio.Event, answers: Answers, settings: Settings) -> None:
    flags = settings.flags
    server = grpc_service.build(
        answers,
        f"{ADDRESS}:{flags.port}",
        flags.channel_arguments,
        with_health=flags.enable_grpc_healthcheck_service,
    )
    rest = RestApi(answers, flags.rest_api_timeout_in_ms / 1000, settings.metrics_path)
    runner = web.AppRunner(rest.application(), access_log=None, shutdown_timeout=CLOSING_SECONDS)
    await server.start()
    _LOG.info("Running gRPC ModelServer at %s:%s ...", ADDRESS, flags.port)
    try:
        await _start_rest(runner, flags.rest_api_port)
        await _watch_until(stop, answers.model, flags.file_system_poll_wait_seconds)
        _LOG.info("stopping: no new requests, finishing those in flight")
    finally:
        await asyncio.gather(server.stop(GRACE_SECONDS), _stop_rest(rest, runner))


async def _start_rest(runner: web.AppRunner, port: int) -> None:
    await runner.setup()
    if not port:
        return
    try:
        await web.TCPSite(runner, ADDRESS, port, reuse_port=False).start()
    except OSError as error:
        raise StartupError(f"cannot listen for REST on {ADDRESS}:{port}: {error}") from error
    _LOG.info("Exporting HTTP/REST API at:%s:%s ...", ADDRESS, port)


async def _watch_until(stop: asyncio.Event, model: Model, seconds: int) -> None:
    watching = asyncio.create_task(model.watch(seconds)) if seconds else None
    await stop.wait()
    if watching is not None:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _stop_rest(rest: RestApi, runner: web.AppRunner) -> None:
    """Close the port, then wait for what is in flight."""
    for site in tuple(runner.sites):
        await site.stop()
    await rest.stop(GRACE_SECONDS)
    await runner.cleanup()
