"""Metrics on predictions whose worth is known by hand."""

import json
from decimal import Decimal

import numpy as np
import pytest

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
