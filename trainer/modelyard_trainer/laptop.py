"""The trainer on a laptop: the same file, the same code, a folder in place of the store."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import file_digest
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from modelyard.api.data import DataSource
from modelyard.api.gates import judge_gates
from modelyard.api.run import ProgressReport, RunConfig
from modelyard.api.store import LocalStoreSettings, ModelKeys
from modelyard.api.training import ModelTraining
from modelyard.store.client import connect
from modelyard_trainer.configuration import check_run, summary
from modelyard_trainer.failures import BadConfiguration, BadData, Interrupted, RunFailed
from modelyard_trainer.intake import read_examples
from modelyard_trainer.outcome import as_failure
from modelyard_trainer.progress import Progress
from modelyard_trainer.report import print_report

if TYPE_CHECKING:
    from modelyard_trainer.attempt import Outcome

NAMESPACE = "local"
REFUSED = 3
"""Exit code when a gate refused the model."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """Train a model as Modelyard would, on this machine."""


@app.command()
def run(
    file: Annotated[
        Path, typer.Argument(help="A ModelTraining in YAML.", exists=True, dir_okay=False)
    ],
    data: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: local file for a data set of the training.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for checkpoints and versions.")] = Path(
        "modelyard-store"
    ),
    resume: Annotated[str, typer.Option(help="Id of an interrupted run to continue.")] = "",
) -> None:
    """Train, measure, judge the gates and store the version.

    modelyard-trainer run training.yaml --data train=train.npz --data eval=eval.npz

    Exit code: 0 the model passed its gates, 3 a gate refused it, 64 the file is wrong, 65 the data
    are, 70 the loss diverged, 75 stopped and saved (see --resume), 1 anything else.
    """
    console = Console()
    uid = resume or uuid4().hex
    try:
        config = _config(file, uid, output.resolve())
        if resume:
            _require_run(config)
        files = _files(data or [], config)
        console.print(Text(f"Run {uid}"))  # a run that is killed cannot say it at its end
        for source in config.data:
            console.print(Text(f"{files[source.name]} is read as {source.uri}"), soft_wrap=True)
        outcome = _train(config, files, console)
    except typer.BadParameter:
        raise
    except Exception as error:
        raise typer.Exit(_explain(as_failure(error), uid, console)) from error
    verdict = judge_gates(config.evaluation, outcome.evaluation.metrics())
    print_report(console, outcome, verdict, _place(config, outcome.published.version))
    raise typer.Exit(0 if verdict.verdict == "Passed" else REFUSED)


def _config(file: Path, uid: str, folder: Path) -> RunConfig:
    """Return the run that the operator would make of the file, with a folder as its store."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        _require_kind(file, content)
        training = ModelTraining.model_validate(content)
        spec = training.spec
        config = RunConfig(
            namespace=training.metadata.namespace or NAMESPACE,
            training_name=training.metadata.name,
            training_uid=uid,
            attempt=1,
            model_name=spec.model_name,
            store=LocalStoreSettings(endpoint=f"file://{folder}"),
            recipe=spec.recipe,
            data=spec.data,
            checkpoint=spec.checkpoint,
            evaluation=spec.evaluation,
        )
    except ValidationError as error:
        raise BadConfiguration(f"{file} is not a valid ModelTraining: {summary(error)}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadConfiguration(f"{file} cannot be read as YAML: {error}") from error
    check_run(config)
    return config


def _require_kind(file: Path, content: object) -> None:
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != "ModelTraining":
        found = f"its kind is {kind}" if kind else "it has no kind"
        raise BadConfiguration(
            f"{file} is no ModelTraining: {found}", "Give a file with `kind: ModelTraining`."
        )


def _require_run(config: RunConfig) -> None:
    """Refuse to continue a run that left nothing: it would silently begin anew."""
    prefix = _keys(config).run_data(config.training_uid)
    store = connect(config.store)
    if not any(store.list_keys(prefix)):
        raise typer.BadParameter(
            f"--resume {config.training_uid}: no such run in {store.locate(prefix)}"
        )


def _files(pairs: list[str], config: RunConfig) -> dict[str, Path]:
    """Return the local file of each data set that the run reads."""
    files = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if name not in {source.name for source in config.data} or not Path(path).is_file():
            raise typer.BadParameter(
                f"{pair}: NAME must be a data set of the training, PATH a file."
            )
        files[name] = Path(path)
    missing = [source.name for source in config.data if source.name not in files]
    if missing:
        raise typer.BadParameter(f"Give --data {missing[0]}=PATH: the file to read in its place.")
    return files


def _train(config: RunConfig, files: dict[str, Path], console: Console) -> "Outcome":
    """Run the attempt behind a progress bar; Ctrl-C saves and stops, twice ends it at once."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_stop_once, stop))
    progress = Progress(config.attempt)

    def fetch(source: DataSource) -> tuple[Path, str]:
        return files[source.name], _checked_digest(source, files[source.name])

    examples = read_examples(config, fetch)
    with console.status("Loading TensorFlow"):
        from modelyard_trainer.attempt import Attempt  # noqa: PLC0415 - takes seconds

    with tempfile.TemporaryDirectory(prefix="modelyard-") as scratch, _bar(progress, console):
        store = connect(config.store)
        return Attempt(config, store, examples, progress, stop, Path(scratch)).run()


def _stop_once(stop: Event, number: int, _: object) -> None:
    """Ask the run to save and stop; the same signal again ends it at once."""
    stop.set()
    signal.signal(number, signal.SIG_DFL)


def _checked_digest(source: DataSource, path: Path) -> str:
    """Return the file's digest; a training that names another one does not start."""
    with path.open("rb") as file:
        digest = f"sha256:{file_digest(file, 'sha256').hexdigest()}"
    if source.digest and source.digest != digest:
        raise BadData(f"{path} has digest {digest}, but data[{source.name}] wants {source.digest}.")
    return digest


@contextmanager
def _bar(progress: Progress, console: Console) -> Iterator[None]:
    """Show the report's numbers while the block runs; what does not fit of the metrics is cut."""
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True, ratio=1)),
    )
    with Bar(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task("Starting", total=None, metrics="")
        done = Event()

        def show() -> None:
            while not done.wait(0.2):
                report = progress.report
                bar.update(
                    task,
                    description=_stage(report),
                    completed=report.step,
                    total=report.total_steps or None,
                    metrics=" ".join(f"{m.name} {float(m.value):.4g}" for m in report.metrics),
                )

        thread = Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _stage(report: ProgressReport) -> str:
    epoch = f" epoch {report.epoch}/{report.total_epochs}" if report.epoch else ""
    return f"{report.phase}{epoch}"


def _explain(failure: RunFailed, uid: str, console: Console) -> int:
    """Say why the run ended and what to do; return the exit code."""
    console.print(Text(f"{failure.category}: ", "red") + Text(str(failure)), soft_wrap=True)
    if failure.hint:
        console.print(Text(failure.hint), soft_wrap=True)
    if isinstance(failure, Interrupted):
        console.print(Text(f"Continue with: --resume {uid}"))
    return int(failure.exit_code)


def _place(config: RunConfig, version: int) -> str:
    """Return the folder of the stored version."""
    return connect(config.store).locate(_keys(config).artifact(version).rstrip("/"))


def _keys(config: RunConfig) -> ModelKeys:
    return ModelKeys(config.store.prefix, config.namespace, config.model_name)
