"""The run contract, parsed and checked before anything heavy is imported or read."""

from collections.abc import Iterator

from pydantic import ValidationError

from modelyard.api.data import DataFormat, DataSource
from modelyard.api.recipe import ArchitectureName, Recipe, Task
from modelyard.api.run import RUN_VARIABLE, RunConfig
from modelyard.api.training import Evaluation
from modelyard_trainer.decimals import number
from modelyard_trainer.failures import BadConfiguration

TRAIN = "train"
MEASURED = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "loss")
"""What the evaluation reports."""


def parse_run(text: str | None) -> RunConfig:
    """Return the configuration in `text`, the content of `MODELYARD_RUN`.

    Raises:
        BadConfiguration: it is absent, no JSON, of another shape, or contradicts itself.
    """
    if not text:
        raise BadConfiguration(
            f"The environment variable {RUN_VARIABLE} is empty; it must hold the run as JSON.",
            "The operator sets it. On a laptop use `modelyard-trainer run FILE` instead.",
        )
    try:
        config = RunConfig.model_validate_json(text)
    except ValidationError as error:
        raise BadConfiguration(f"{RUN_VARIABLE} is not a valid run: {summary(error)}") from error
    check_run(config)
    return config


def check_run(config: RunConfig) -> None:
    """Check what the types cannot say: sizes that fit the task, names that exist.

    Raises:
        BadConfiguration: with every problem found.
    """
    problems = [
        *_recipe_problems(config.recipe),
        *_data_problems(config),
        *_metric_problems(config.evaluation),
    ]
    if problems:
        raise BadConfiguration(
            "The training cannot run: " + "; ".join(problems) + ".",
            "Correct these fields and create the ModelTraining anew.",
        )


def summary(error: ValidationError) -> str:
    """Return the first five problems as `field: message`."""
    problems = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the whole'}: {p['msg']}" for p in problems)


def source_named(config: RunConfig, name: str) -> DataSource:
    """Return the data source called `name` of a checked configuration."""
    return next(source for source in config.data if source.name == name)


def _recipe_problems(recipe: Recipe) -> Iterator[str]:
    """Say what of the recipe cannot be built."""
    network = recipe.architecture
    if network.name is ArchitectureName.CNN and not network.convolutions:
        yield "recipe.architecture.convolutions is empty, but a CNN needs at least one"
    if network.name is ArchitectureName.MLP and network.convolutions:
        yield "recipe.architecture.convolutions is set, but an MLP has none"
    if network.name is ArchitectureName.CNN and recipe.task is not Task.IMAGE_CLASSIFICATION:
        yield f"recipe.architecture.name is CNN, but {recipe.task} has no images"
    if not 0 <= number(recipe.regularization.dropout) < 1:
        yield f"recipe.regularization.dropout is {recipe.regularization.dropout}, not in [0, 1)"
    if number(recipe.regularization.l2) < 0:
        yield f"recipe.regularization.l2 is {recipe.regularization.l2}, but must not be negative"
    if number(recipe.optimizer.learning_rate) <= 0:
        yield f"recipe.optimizer.learningRate is {recipe.optimizer.learning_rate}, not above 0"


def _data_problems(config: RunConfig) -> Iterator[str]:
    """Say what of the data sources does not fit."""
    names = [source.name for source in config.data]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"data has two entries named {name}"
    missing = [n for n in dict.fromkeys((TRAIN, config.evaluation.data_name)) if n not in names]
    yield from (f"data has no entry named {name}" for name in missing)
    unread = sorted(set(names) - {TRAIN, config.evaluation.data_name})
    yield from (f"data has an entry named {name}, which nothing reads" for name in unread)
    for source in config.data:
        yield from _source_problems(source, config.recipe.task)
    if not missing:
        yield from _pair_problems(config)


def _metric_problems(evaluation: Evaluation) -> Iterator[str]:
    """Say which metrics are asked for that nothing measures: better now than after the training."""
    asked = {"evaluation.primaryMetric.name": evaluation.primary_metric.name}
    asked |= {f"evaluation.gates[{gate.name}].metric": gate.metric for gate in evaluation.gates}
    for field, metric in asked.items():
        if metric not in MEASURED:
            yield f"{field} is {metric}, but measured are {', '.join(MEASURED)}"


def _source_problems(source: DataSource, task: Task) -> Iterator[str]:
    """Say what of one data source does not fit the task."""
    features = source.data_schema.features
    if source.format is DataFormat.NPZ and len(features) != 1:
        yield f"data[{source.name}].schema.features names {len(features)} arrays; Npz takes one"
    if source.format is DataFormat.NPZ and not features[0].isidentifier():
        yield f"data[{source.name}].schema.features: {features[0]!r} is no name for a model input"
    if source.format is not DataFormat.NPZ and task is Task.IMAGE_CLASSIFICATION:
        yield f"data[{source.name}].format is {source.format}, but {task} reads Npz"
    if source.data_schema.label in features:
        yield f"data[{source.name}].schema.label {source.data_schema.label!r} is also a feature"


def _pair_problems(config: RunConfig) -> Iterator[str]:
    """Say how the evaluation data differs from the training data in what the schema says."""
    train = source_named(config, TRAIN)
    evaluation = source_named(config, config.evaluation.data_name)
    tables = train.format is evaluation.format is DataFormat.CSV
    if tables and train.data_schema.features != evaluation.data_schema.features:
        yield f"data[{evaluation.name}].schema.features differs from that of data[{TRAIN}]"
