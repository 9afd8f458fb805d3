"""The trainer in a pod: configuration from the environment, the result in the termination log."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

from modelyard.api.data import DataSource
from modelyard.api.errors import Refused, Retry
from modelyard.api.names import PORT_PROGRESS
from modelyard.api.run import RUN_VARIABLE, TERMINATION_LOG, RunConfig, RunPhase, RunResult
from modelyard.api.store import ModelKeys
from modelyard.store.client import Store, connect
from modelyard.store.data import read_object
from modelyard_trainer import result
from modelyard_trainer.configuration import parse_run
from modelyard_trainer.failures import Interrupted
from modelyard_trainer.intake import read_examples
from modelyard_trainer.outcome import as_failure
from modelyard_trainer.patience import patiently
from modelyard_trainer.progress import Progress
from modelyard_trainer.server import serve_progress

LOG = logging.getLogger(__name__)
PORT_VARIABLE = "MODELYARD_PROGRESS_PORT"
"""Takes another port than 8080 where several trainers share a network, for instance in tests."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def run_in_pod(environment: Mapping[str, str] = os.environ) -> int:
    """Run one attempt; return its exit code. The result is also the last line of the output."""
    stop = _stop_on_signal()
    with tempfile.TemporaryDirectory(prefix="modelyard-") as scratch:
        folder = Path(scratch)
        _log_to(folder / "log.txt")
        progress = Progress(attempt=1)
        try:
            config = parse_run(environment.get(RUN_VARIABLE))
        except Exception as error:  # the boundary: everything becomes a result
            outcome = result.failed(progress.report, as_failure(error))
        else:
            port = int(environment.get(PORT_VARIABLE, PORT_PROGRESS))
            outcome = _attempt(config, stop, folder, port)
    result.write_result(outcome, Path(TERMINATION_LOG))
    print(result.result_text(outcome), flush=True)
    return outcome.exit_code


def _attempt(config: RunConfig, stop: Event, scratch: Path, port: int) -> RunResult:
    """Run the attempt and ship its log, whatever happened."""
    progress = Progress(config.attempt)
    with ExitStack() as stack:
        try:
            stack.enter_context(serve_progress(progress, port))
            store = connect(config.store)
            stack.callback(_ship_log, store, config, scratch / "log.txt")
            return _run(config, store, progress, stop, scratch)
        except Exception as error:  # the boundary: everything becomes a result
            outcome = result.failed(progress.report, as_failure(error))
            LOG.error("exit %d: %s %s", outcome.exit_code, outcome.message, outcome.hint)
            return outcome


def _run(
    config: RunConfig, store: Store, progress: Progress, stop: Event, scratch: Path
) -> RunResult:
    """Read the data, then run the attempt; TensorFlow is loaded only in between."""

    def fetch(source: DataSource) -> tuple[Path, str]:
        path = scratch / f"{source.name}.data"
        read = patiently(lambda: read_object(store, source.uri, path, source.digest), stop)
        return path, read.digest

    progress.enter(RunPhase.FETCHING)
    examples = read_examples(config, fetch)
    if stop.is_set():
        raise Interrupted("Stopped on request before the first step.")
    from modelyard_trainer.attempt import Attempt  # noqa: PLC0415 - takes seconds

    finished = Attempt(config, store, examples, progress, stop, scratch).run()
    return result.done(progress.report, finished.published, finished.evaluation.metrics())


def _stop_on_signal() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _log_to(path: Path) -> None:
    """Log to the container's output and to the file that is shipped at the end."""
    handlers = (logging.StreamHandler(sys.stderr), logging.FileHandler(path))
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, handlers=handlers, force=True)


def _ship_log(store: Store, config: RunConfig, path: Path) -> None:
    """Put the log next to the attempt's checkpoints; a store that is away costs only the log."""
    keys = ModelKeys(config.store.prefix, config.namespace, config.model_name)
    key = keys.attempt(config.training_uid, config.attempt) + "log.txt"
    with suppress(Retry, Refused):
        store.put(key, path.read_bytes(), if_none_match=False)
