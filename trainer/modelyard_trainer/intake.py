"""The data of a run, fetched and checked before TensorFlow is loaded: bad data fails at once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelyard.api.data import DataSource
from modelyard.api.run import RunConfig
from modelyard_trainer.checks import check_classes, check_known, check_pair
from modelyard_trainer.configuration import TRAIN, source_named
from modelyard_trainer.dataset import Dataset, read_dataset

LOG = logging.getLogger(__name__)

Fetch = Callable[[DataSource], tuple[Path, str]]
"""Brings a data file near: takes a source, returns path and digest."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a run learns from and is measured on.

    Attributes:
        train: rows to learn from.
        evaluation: rows to measure on; the same object if the run names `train` for both.
        classes: number of classes, by the largest training label.
    """

    train: Dataset
    evaluation: Dataset
    classes: int

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """Return each data set once."""
        return (self.train,) if self.evaluation is self.train else (self.train, self.evaluation)


def read_examples(config: RunConfig, fetch: Fetch) -> Examples:
    """Fetch and check all data of a checked configuration.

    Raises:
        BadData: a file is not what its schema says, or the two do not fit together.
        Retry: the store did not answer.
        Refused: the store denied something.
    """
    train = _read(config, TRAIN, fetch)
    name = config.evaluation.data_name
    evaluation = train if name == TRAIN else _read(config, name, fetch)
    classes = check_classes(train.source, train.labels)
    check_pair(
        train.source, train.features.shape[1:], evaluation.source, evaluation.features.shape[1:]
    )
    check_known(evaluation.source, evaluation.labels, classes)
    return Examples(train, evaluation, classes)


def _read(config: RunConfig, name: str, fetch: Fetch) -> Dataset:
    source = source_named(config, name)
    path, digest = fetch(source)
    dataset = read_dataset(source, path, digest, config.recipe.task)
    LOG.info("data %s: %d rows, %s", name, dataset.rows, digest)
    return dataset
