"""One attempt from its checked data to its published version, told in order."""

import logging
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from modelyard.api.manifest import ManifestDraft, canonical_json
from modelyard.api.run import RunConfig, RunPhase
from modelyard.api.store import ModelKeys
from modelyard.api.version import TrainingSource
from modelyard.store.client import Store
from modelyard.store.publication import Published, publish
from modelyard_trainer.checkpoint import Checkpoints
from modelyard_trainer.evaluation import Evaluation, evaluate
from modelyard_trainer.export import Exported, export_model
from modelyard_trainer.intake import Examples
from modelyard_trainer.learner import Learner, make_deterministic
from modelyard_trainer.lineage import lineage
from modelyard_trainer.loop import Loop
from modelyard_trainer.model import build_model, build_optimizer
from modelyard_trainer.order import Order
from modelyard_trainer.patience import patiently
from modelyard_trainer.progress import Progress

LOG = logging.getLogger(__name__)


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
        examples: checked data.
        progress: told of everything.
        stop: set when the attempt has to end.
        scratch: an empty local directory.
    """

    config: RunConfig
    store: Store
    examples: Examples
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
        learner = self._trained()
        measured = self._measured(learner)
        exported = self._exported(learner)
        self.progress.enter(RunPhase.PUBLISHING)
        draft = self._draft(measured, exported)
        published = patiently(
            lambda: publish(self.store, self.keys, draft, self._model_directory), self.stop
        )
        LOG.info("published version %d as %s", published.version, published.manifest_digest)
        return Outcome(published, measured)

    def _trained(self) -> Learner:
        """Build the model and bring it to the last step."""
        recipe = self.config.recipe
        train = self.examples.train
        make_deterministic(recipe.seed)
        order = Order(train.rows, recipe.batch_size, recipe.epochs, recipe.seed)
        learner = Learner(
            build_model(recipe, train, self.examples.classes),
            build_optimizer(recipe, order.total_steps),
        )
        self.progress.enter(RunPhase.TRAINING)
        loop = Loop(
            learner=learner,
            order=order,
            train=train,
            evaluation=self.examples.evaluation,
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

    def _measured(self, learner: Learner) -> Evaluation:
        """Measure the model, and leave the whole report next to the run's checkpoints."""
        self.progress.enter(RunPhase.EVALUATING)
        evaluation = self.examples.evaluation
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

    def _exported(self, learner: Learner) -> Exported:
        self.progress.enter(RunPhase.EXPORTING)
        return export_model(
            learner.model,
            self._model_directory,
            self.examples.evaluation.features,
            self.config.model_name,
        )

    @property
    def _model_directory(self) -> Path:
        return self.scratch / "model"

    def _draft(self, measured: Evaluation, exported: Exported) -> ManifestDraft:
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
            lineage=lineage(config.recipe, self.examples.datasets),
            golden_set=exported.golden_set,
        )
