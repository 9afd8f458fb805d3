"""What the run contract may not say, and how it is told."""

import json

import pytest

from modelyard_trainer.configuration import parse_run
from modelyard_trainer.failures import BadConfiguration
from tests.unit.trainer.making import (
    CNN,
    MLP,
    make_config,
    make_csv_source,
    make_recipe,
    make_source,
)


def text(folder, **changes):
    """Return a run as the operator writes it: with an S3 store."""
    fields = make_config(folder, **changes).dump()
    return json.dumps(fields | {"store": {"bucket": "models"}})


def test_a_valid_run_is_taken(tmp_path):
    assert parse_run(text(tmp_path)).model_name == "digits"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "MODELYARD_RUN is empty"),
        ("", "MODELYARD_RUN is empty"),
        ("{", "is not a valid run: the whole: Invalid JSON"),
        ("{}", "namespace: Field required"),
        ('{"namespace": "Team!"}', "namespace: String should match"),
    ],
)
def test_text_that_is_no_run_is_refused(content, message):
    with pytest.raises(BadConfiguration, match=message) as refused:
        parse_run(content)
    assert refused.value.exit_code == 64


def recipe(**changes):
    return {"recipe": make_recipe(**changes)}


FAULTS = {
    "bare cnn": (recipe(architecture={"name": "CNN"}), "convolutions is empty, but a CNN"),
    "mlp with convolutions": (
        recipe(architecture=MLP | {"convolutions": [{"filters": 2}]}),
        "convolutions is set, but an MLP has none",
    ),
    "cnn on a table": (
        recipe(task="TabularClassification", architecture=CNN),
        "TabularClassification has no images",
    ),
    "dropout of all": (recipe(regularization={"dropout": "1"}), r"dropout is 1, not in \[0, 1\)"),
    "negative l2": (recipe(regularization={"l2": "-0.1"}), "l2 is -0.1, but must not be negative"),
    "no step size": (recipe(optimizer={"learningRate": "0"}), "learningRate is 0, not above 0"),
    "twice": ({"data": (make_source(), make_source())}, "data has two entries named train"),
    "no train": ({"data": (make_source("eval"),)}, "data has no entry named train"),
    "no eval": ({"data": (make_source(),)}, "data has no entry named eval"),
    "unread": (
        {"data": (make_source(), make_source("eval"), make_source("pool"))},
        "data has an entry named pool, which nothing reads",
    ),
    "unknown metric": (
        {"evaluation": {"gates": [{"name": "floor", "metric": "auc", "value": "0.9"}]}},
        r"evaluation.gates\[floor\].metric is auc, but measured are accuracy, precision",
    ),
    "unknown primary metric": (
        {"evaluation": {"primaryMetric": {"name": "auc"}}},
        "evaluation.primaryMetric.name is auc, but measured are",
    ),
    "images in a table": (
        {"data": (make_csv_source(), make_csv_source("eval"))},
        r"data\[train\].format is Csv, but ImageClassification reads Npz",
    ),
    "two arrays": (
        {"data": (make_source(schema={"features": ["a", "b"], "label": "c"}),)},
        "names 2 arrays; Npz takes one",
    ),
    "input name": (
        {"data": (make_source(schema={"features": ["my image"], "label": "c"}),)},
        "'my image' is no name for a model input",
    ),
    "label as feature": (
        {"data": (make_source(schema={"features": ["image"], "label": "image"}),)},
        "label 'image' is also a feature",
    ),
    "other columns": (
        recipe(task="TabularClassification")
        | {
            "data": (
                make_csv_source(),
                make_csv_source("eval").model_copy(
                    update={
                        "data_schema": make_csv_source().data_schema.model_copy(
                            update={"features": ("texture", "radius")}
                        )
                    }
                ),
            )
        },
        r"data\[eval\].schema.features differs from that of data\[train\]",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_contradiction_is_refused_before_anything_is_read(tmp_path, fault):
    changes, message = FAULTS[fault]
    with pytest.raises(BadConfiguration, match=message):
        parse_run(text(tmp_path, **changes))
