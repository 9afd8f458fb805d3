"""Metrics on predictions whose worth is known by hand."""

import json
from decimal import Decimal

import numpy as np
import pytest
from sklearn import metrics as reference

from modelyard_trainer.configuration import MEASURED
from modelyard_trainer.evaluation import evaluate


def certain(predicted, classes):
    """Return probabilities that give each predicted class nine tenths."""
    rest = 0.1 / (classes - 1)
    return np.where(np.eye(classes)[predicted] == 1, 0.9, rest).astype(np.float32)


def test_values_of_a_small_example():
    labels = np.array([0, 0, 1, 1, 2, 2])
    found = evaluate("eval", labels, certain([0, 1, 1, 1, 2, 0], 3), penalty=0.5)
    assert found.overall["accuracy"] == pytest.approx(4 / 6)
    assert found.overall["precision"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert found.overall["recall"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    expected = -(4 * np.log(0.9) + 2 * np.log(0.05)) / 6
    assert found.overall["log_loss"] == pytest.approx(expected, rel=1e-5)
    assert found.overall["loss"] == pytest.approx(expected + 0.5, rel=1e-5)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]


@pytest.fixture(params=[2, 7])
def predictions(request):
    """Labels, and probabilities of a model that is right about half of the time."""
    random = np.random.default_rng(request.param)
    labels = random.integers(0, request.param, 500)
    logits = random.normal(size=(500, request.param)) + np.eye(request.param)[labels]
    powers = np.exp(logits)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_values_are_those_of_scikit_learn(predictions):
    labels, probabilities = predictions
    predicted = probabilities.argmax(axis=1)
    found = evaluate("eval", labels, probabilities, penalty=0)
    report = reference.classification_report(labels, predicted, output_dict=True)
    scores = probabilities if len(found.confusion) > 2 else probabilities[:, 1]
    expected = {
        "accuracy": report["accuracy"],
        "precision": report["macro avg"]["precision"],
        "recall": report["macro avg"]["recall"],
        "f1": report["macro avg"]["f1-score"],
        "roc_auc": reference.roc_auc_score(labels, _exact(scores), multi_class="ovr"),
        "log_loss": reference.log_loss(labels, _exact(probabilities)),
    }
    assert {name: found.overall[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    for number, (precision, recall, f1) in enumerate(zip(*found.per_class.values(), strict=True)):
        of_class = report[str(number)]
        assert precision == pytest.approx(of_class["precision"], rel=1e-6)
        assert recall == pytest.approx(of_class["recall"], rel=1e-6)
        assert f1 == pytest.approx(of_class["f1-score"], rel=1e-6)
    assert (found.confusion == reference.confusion_matrix(labels, predicted)).all()
    told = {m.name: float(m.value) for m in found.metrics() if m.slice == "overall"}
    assert told == pytest.approx(found.overall, rel=1e-6)


def _exact(probabilities):
    """Return float64 that adds up; scikit-learn compares the sum of rows with 1."""
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True) if exact.ndim > 1 else exact


def test_values_are_what_their_definitions_say(predictions):
    """The same without scikit-learn: from counts, ranks of pairs, and logarithms."""
    labels, probabilities = predictions
    found = evaluate("eval", labels, probabilities, penalty=0)
    classes = probabilities.shape[1]
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    hits = np.diag(confusion)
    precision, recall = hits / confusion.sum(axis=0), hits / confusion.sum(axis=1)
    areas = []
    for number in range(classes) if classes > 2 else [1]:
        inside = probabilities[labels == number, number][:, None]
        outside = probabilities[labels != number, number][None, :]
        areas.append(((inside > outside) + 0.5 * (inside == outside)).mean())
    expected = {
        "accuracy": hits.sum() / 500,
        "precision": precision.mean(),
        "recall": recall.mean(),
        "f1": (2 * precision * recall / (precision + recall)).mean(),
        "roc_auc": np.mean(areas),
        "log_loss": -np.log(probabilities[np.arange(500), labels].astype(float)).mean(),
    }
    assert {name: found.overall[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert (found.confusion == confusion).all()


def test_what_is_measured_is_what_may_be_asked_for():
    labels = np.array([0, 1, 2])
    assert tuple(evaluate("eval", labels, certain(labels, 3), penalty=0).overall) == MEASURED


def test_two_classes_take_the_area_of_the_second():
    labels = np.array([0, 0, 1, 1])
    second = np.array([0.1, 0.4, 0.35, 0.8])
    found = evaluate("eval", labels, np.column_stack([1 - second, second]), penalty=0)
    assert found.overall["roc_auc"] == pytest.approx(0.75)


def test_classes_without_rows_do_not_spoil_the_area():
    found = evaluate("eval", np.array([0, 1, 0, 1]), certain([0, 1, 0, 1], 3), penalty=0)
    assert found.overall["roc_auc"] == 1


def test_with_one_class_the_area_is_not_reported():
    found = evaluate("eval", np.array([1, 1]), certain([1, 1], 3), penalty=0)
    assert "roc_auc" not in found.overall
    assert found.overall["accuracy"] == 1


def test_slices_follow_the_overall_values():
    labels = np.array([0, 0, 1, 1])
    metrics = evaluate("eval", labels, certain([0, 1, 1, 1], 2), penalty=0).metrics()
    values = {(m.slice, m.name): Decimal(m.value) for m in metrics}
    assert values["class=0", "recall"] == Decimal("0.5")
    assert values["class=1", "recall"] == 1
    assert metrics[0].slice == "overall"
    assert {m.data_name for m in metrics} == {"eval"}


def test_many_classes_are_cut_at_a_whole_class_in_the_manifest_only():
    labels = np.arange(300)
    found = evaluate("eval", labels, certain(labels, 300), penalty=0)
    metrics = found.metrics()
    assert len(metrics) <= 256
    assert [m.name for m in metrics[-3:]] == ["precision", "recall", "f1"]
    document = json.loads(json.dumps(found.document()))
    assert len(document["perClass"]["f1"]) == 300
    assert np.array(document["confusionMatrix"]).shape == (300, 300)
