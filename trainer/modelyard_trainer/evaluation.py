"""What the trained model is worth on data it has not seen (metrics by scikit-learn)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from modelyard.api.version import EvaluationMetric
from modelyard_trainer.decimals import decimal_text

MAX_METRICS = 256
"""What a ModelVersion holds."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Everything that was measured.

    Attributes:
        data_name: data set it was measured on.
        overall: metric by name; `roc_auc` is absent where it is not defined.
        per_class: precision, recall and f1 of each class, each `(classes,)`.
        confusion: counts, true class by row and predicted class by column.
    """

    data_name: str
    overall: dict[str, float]
    per_class: dict[str, Array]
    confusion: Array

    def metrics(self) -> tuple[EvaluationMetric, ...]:
        """Return the values for the manifest: overall first, then class by class, at most 256.

        With many classes the last ones are left out; `document` has them all.
        """
        every = [*self._overall(), *self._slices()]
        whole = MAX_METRICS - (MAX_METRICS - len(self.overall)) % len(self.per_class)
        return tuple(every[:whole])

    def document(self) -> dict[str, object]:
        """Return all values for `evaluation.json`."""
        return {
            "schema": "modelyard.dev/evaluation/v1",
            "dataName": self.data_name,
            "metrics": self.overall,
            "perClass": {name: values.tolist() for name, values in self.per_class.items()},
            "confusionMatrix": self.confusion.tolist(),
        }

    def _overall(self) -> Iterator[EvaluationMetric]:
        for name, value in self.overall.items():
            yield self._metric(name, value, "overall")

    def _slices(self) -> Iterator[EvaluationMetric]:
        for number in range(len(self.confusion)):
            for name, values in self.per_class.items():
                yield self._metric(name, values[number], f"class={number}")

    def _metric(self, name: str, value: float, part: str) -> EvaluationMetric:
        return EvaluationMetric(
            name=name, value=decimal_text(value), data_name=self.data_name, slice=part
        )


def evaluate(
    data_name: str, labels: NDArray[np.int64], probabilities: Array, penalty: float
) -> Evaluation:
    """Measure predictions against true classes.

    Args:
        data_name: data set they belong to.
        labels: true classes `(rows,)`.
        probabilities: predicted probabilities `(rows, classes)`.
        penalty: what regularisation adds to the loss.
    """
    classes = range(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    exact = _normalised(probabilities)
    log_loss = float(metrics.log_loss(labels, exact, labels=list(classes)))
    return Evaluation(
        data_name=data_name,
        overall={
            "accuracy": float(metrics.accuracy_score(labels, predicted)),
            **_averages(labels, predicted),
            **_roc_auc(labels, exact),
            "log_loss": log_loss,
            "loss": log_loss + penalty,
        },
        per_class=_per_class(labels, predicted, classes),
        confusion=metrics.confusion_matrix(labels, predicted, labels=list(classes)),
    )


def _normalised(probabilities: Array) -> Array:
    """Return float64 rows that sum to 1 to the last bit that matters."""
    exact = probabilities.astype(np.float64)
    normalised: Array = exact / exact.sum(axis=1, keepdims=True)
    return normalised


def _averages(labels: Array, predicted: Array) -> dict[str, float]:
    """Return macro averages over the classes that occur."""
    values = metrics.precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    return dict(zip(("precision", "recall", "f1"), map(float, values[:3]), strict=True))


def _per_class(labels: Array, predicted: Array, classes: range) -> dict[str, Array]:
    values = metrics.precision_recall_fscore_support(
        labels, predicted, labels=list(classes), average=None, zero_division=0
    )
    return dict(zip(("precision", "recall", "f1"), values[:3], strict=True))


def _roc_auc(labels: Array, probabilities: Array) -> dict[str, float]:
    """Return the area under the ROC curve: of class 1 if there are two, else one-versus-rest.

    The mean is over classes that have rows inside and outside; with none it is not defined.
    """
    classes = (1,) if probabilities.shape[1] == 2 else range(probabilities.shape[1])  # noqa: PLR2004
    areas = [
        metrics.roc_auc_score(labels == number, probabilities[:, number])
        for number in classes
        if 0 < (labels == number).sum() < len(labels)
    ]
    return {"roc_auc": float(np.mean(areas))} if areas else {}
