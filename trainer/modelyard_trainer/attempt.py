"""One attempt from its configuration to its published version, told in order."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from modelyard.api.manifest import ManifestDraft, canonical_json
from modelyard.api.run import RunConfig, RunPhase
from modelyard.api.store import ModelKeys
from modelyard.api.training import DataSource
from modelyard.api.version import TrainingSource
from modelyard.store.client import Store
from modelyard.store.publication import Published, publish
from modelyard_trainer.checkpoint import Checkpoints
from modelyard_trainer.checks import check_classes, check_known, check_pair
from modelyard_trainer.configuration import TRAIN, source_named
from modelyard_trainer.dataset import Dataset, read_dataset
from modelyard_trainer.evaluation import Evaluation, evaluate
from modelyard_trainer.export import Exported, export_model
from modelyard_trainer.learner import Learner, make_deterministic
from modelyard_trainer.lineage import lineage
from modelyard_trainer.loop import Loop
from modelyard_trainer.model import build_model, build_optimizer
from modelyard_trainer.order import Order
from modelyard_trainer.patience import patiently
from modelyard_trainer.progress import Progress

LOG = logging.getLogger(__name__)

Fetch = Callable[[DataSource, Path], tuple[Path, str]]
"""Brings a data file near: takes a source and a scratch directory, returns path and digest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished attempt leaves."""

    published: Published
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt and what it works with.

    Attributes:
        config: a checked configuration.
        store: where checkpoints and versions go.
        fetch: how data files are read.
        progress: told of everything.
        stop: set when the attempt has to end.
        scratch: an empty local directory.
    """

    config: RunConfig
    store: Store
    fetch: Fetch
    progress: Progress
    stop: Event
    scratch: Path

    @property
    def keys(self) -> ModelKeys:
        """Where everything of the model lies."""
        return ModelKeys(self.config.store.prefix, self.config.namespace, self.config.model_name)

    def run(self) -> Outcome:
        """Train, measure, export and publish.

        Raises:
            RunFailed: the attempt ends early; its exit code says how.
            Retry: the store could not be reached.
            Refused: the store denied something.
        """
        train, evaluation = self._read_data()
        learner = self._trained(train, evaluation)
        measured = self._measured(learner, evaluation)
        exported = self._exported(learner, evaluation)
        self.progress.enter(RunPhase.PUBLISHING)
        draft = self._draft((train, evaluation), measured, exported)
        published = patiently(
            lambda: publish(self.store, self.keys, draft, self._model_directory), self.stop
        )
        LOG.info("published version %d as %s", published.version, published.manifest_digest)
        return Outcome(published, measured)

    def _read_data(self) -> tuple[Dataset, Dataset]:
        """Fetch and check training and evaluation data."""
        self.progress.enter(RunPhase.FETCHING)
        train = self._dataset(TRAIN)
        name = self.config.evaluation.data_name
        evaluation = train if name == TRAIN else self._dataset(name)
        check_pair(
            train.source, train.features.shape[1:], evaluation.source, evaluation.features.shape[1:]
        )
        return train, evaluation

    def _dataset(self, name: str) -> Dataset:
        source = source_named(self.config, name)
        path, digest = patiently(lambda: self.fetch(source, self.scratch), self.stop)
        dataset = read_dataset(source, path, digest, self.config.recipe.task)
        LOG.info("data %s: %d rows, %s", name, dataset.rows, digest)
        return dataset

    def _trained(self, train: Dataset, evaluation: Dataset) -> Learner:
        """Build the model and bring it to the last step."""
        recipe = self.config.recipe
        classes = check_classes(train.source, train.labels)
        check_known(evaluation.source, evaluation.labels, classes)
        make_deterministic(recipe.seed)
        order = Order(train.rows, recipe.batch_size, recipe.epochs, recipe.seed)
        learner = Learner(
            build_model(recipe, train, classes), build_optimizer(recipe, order.total_steps)
        )
        self.progress.enter(RunPhase.TRAINING)
        loop = Loop(
            learner=learner,
            order=order,
            train=train,
            evaluation=evaluation,
            checkpoints=self._checkpoints(),
            every_steps=self.config.checkpoint.every_steps,
            progress=self.progress,
            stop=self.stop,
        )
        loop.run(loop.resume())
        return learner

    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(
            store=self.store,
            keys=self.keys,
            training_uid=self.config.training_uid,
            attempt=self.config.attempt,
            keep_last=self.config.checkpoint.keep_last,
            scratch=self.scratch,
        )

    def _measured(self, learner: Learner, evaluation: Dataset) -> Evaluation:
        """Measure the model, and leave the whole report next to the run's checkpoints."""
        self.progress.enter(RunPhase.EVALUATING)
        measured = evaluate(
            evaluation.source.name,
            evaluation.labels,
            learner.probabilities(evaluation.features),
            learner.penalty(),
        )
        prefix = self.keys.attempt(self.config.training_uid, self.config.attempt)
        content = canonical_json(measured.document())
        patiently(
            lambda: self.store.put(prefix + "evaluation.json", content, if_none_match=False),
            self.stop,
        )
        return measured

    def _exported(self, learner: Learner, evaluation: Dataset) -> Exported:
        self.progress.enter(RunPhase.EXPORTING)
        return export_model(
            learner.model, self._model_directory, evaluation.features, self.config.model_name
        )

    @property
    def _model_directory(self) -> Path:
        return self.scratch / "model"

    def _draft(
        self, datasets: tuple[Dataset, Dataset], measured: Evaluation, exported: Exported
    ) -> ManifestDraft:
        """Return all that is known of the version before it has a number."""
        config = self.config
        return ManifestDraft(
            model_name=config.model_name,
            namespace=config.namespace,
            source=TrainingSource(
                name=config.training_name, uid=config.training_uid, attempt=config.attempt
            ),
            signatures=exported.signatures,
            metrics=measured.metrics(),
            primary_metric=config.evaluation.primary_metric.name,
            lineage=lineage(config.recipe, dict.fromkeys(datasets)),
            golden_set=exported.golden_set,
        )
