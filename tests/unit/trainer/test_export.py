"""What is published is what was trained, and TF-Serving finds what it needs."""

import json
from threading import Event

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from modelyard.api.manifest import Manifest, digest_of
from modelyard.store.client import connect
from modelyard_trainer import export
from modelyard_trainer.attempt import Attempt
from modelyard_trainer.failures import RunFailed
from modelyard_trainer.intake import read_examples
from modelyard_trainer.progress import Progress
from tests.unit.trainer.making import CNN, UID, make_config, make_recipe, write_digits

DIGEST = "sha256:" + "c" * 64


@pytest.fixture(scope="module")
def attempt(tmp_path_factory):
    """A finished attempt."""
    folder = tmp_path_factory.mktemp("attempt")
    files = write_digits(folder, rows=1200)
    architecture = CNN | {"denseUnits": [256]}
    config = make_config(folder / "store", make_recipe(architecture=architecture, epochs=4))
    (folder / "scratch").mkdir()
    attempt = Attempt(
        config,
        connect(config.store),
        read_examples(config, lambda source: (files[source.name], DIGEST)),
        Progress(1),
        Event(),
        folder / "scratch",
    )
    attempt.run()
    return attempt


@pytest.fixture(scope="module")
def manifest(attempt):
    content = attempt.store.get(attempt.keys.manifest(1)).content
    return Manifest.model_validate_json(content)


@pytest.fixture(scope="module")
def model(attempt):
    """Where the files of the version are; the folder store keeps them as they are."""
    folder = attempt.store.root / attempt.store.bucket / attempt.keys.artifact(1)
    return folder


@pytest.fixture(scope="module")
def evaluation_rows(attempt):
    return attempt.examples.evaluation.features, attempt.examples.evaluation.labels


def test_the_signature_is_named_and_takes_rows_as_they_lie_in_the_file(manifest):
    (signature,) = manifest.signatures
    assert signature.name == "serving_default"
    assert [(t.name, t.dtype, t.shape) for t in signature.inputs] == [
        ("image", "float32", (-1, 8, 8))
    ]
    assert [(t.name, t.dtype, t.shape) for t in signature.outputs] == [
        ("class", "int64", (-1,)),
        ("probabilities", "float32", (-1, 10)),
    ]


def test_the_model_predicts_what_was_measured(model, manifest, evaluation_rows):
    images, labels = evaluation_rows
    serve = tf.saved_model.load(str(model)).signatures["serving_default"]
    answer = serve(image=tf.constant(images))
    accuracy = float((answer["class"].numpy() == labels).mean())
    measured = next(m for m in manifest.metrics if m.name == "accuracy")
    assert float(measured.value) == pytest.approx(accuracy, abs=1e-6)
    assert accuracy > 0.8
    assert answer["probabilities"].numpy().sum(axis=1) == pytest.approx(np.ones(len(labels)))


def test_every_weight_is_written_once(model):
    weights = 9 * 8 + 8 + 4 * 4 * 8 * 256 + 256 + 256 * 10 + 10
    written = (model / "variables" / "variables.data-00000-of-00001").stat().st_size
    assert weights * 4 <= written < weights * 4 * 1.05


def test_golden_samples_are_what_the_saved_model_answers(model, manifest):
    document = json.loads((model / manifest.golden_set.path).read_text())
    assert document["signature"] == "serving_default"
    assert document["tolerance"] == {"absolute": 1e-4, "relative": 1e-3}
    assert len(document["samples"]) == manifest.golden_set.samples == 16
    serve = tf.saved_model.load(str(model)).signatures["serving_default"]
    for sample in document["samples"]:
        image = np.array(sample["inputs"]["image"], dtype=np.float32)
        assert image.shape == (1, 8, 8)
        answer = serve(image=tf.constant(image))
        assert answer["class"].numpy().tolist() == sample["outputs"]["class"]
        assert np.allclose(answer["probabilities"], sample["outputs"]["probabilities"], atol=1e-7)
    assert len({sample["outputs"]["class"][0] for sample in document["samples"]}) > 3


def test_warm_up_requests_are_for_one_row_and_for_many(model):
    path = model / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    requests = [log.predict_log.request for log in logs]
    assert [r.model_spec.name for r in requests] == ["digits", "digits"]
    shapes = [tf.make_ndarray(r.inputs["image"]).shape for r in requests]
    assert shapes == [(1, 8, 8), (32, 8, 8)]


def test_lineage_names_data_recipe_seed_and_environment(manifest, attempt):
    lineage = manifest.lineage
    assert [(d.name, d.digest, d.rows) for d in lineage.datasets] == [
        ("train", DIGEST, 900),
        ("eval", DIGEST, 300),
    ]
    assert lineage.seed == 3
    assert lineage.environment.keys() >= {
        "tensorflow",
        "keras",
        "numpy",
        "python",
        "device",
        "onednn",
    }
    recipe = json.dumps(attempt.config.recipe.dump(), sort_keys=True, separators=(",", ":"))
    assert lineage.recipe_digest == digest_of(recipe.encode())
    assert (manifest.source.uid, manifest.source.attempt) == (UID, 1)


def test_the_whole_evaluation_lies_next_to_the_run(attempt, manifest):
    key = attempt.keys.attempt(UID, 1) + "evaluation.json"
    document = json.loads(attempt.store.get(key).content)
    confusion = np.array(document["confusionMatrix"])
    assert confusion.sum() == 300
    accuracy = next(m for m in manifest.metrics if m.name == "accuracy")
    assert float(accuracy.value) == pytest.approx(np.trace(confusion) / 300, abs=1e-6)
    assert document["metrics"]["accuracy"] == pytest.approx(np.trace(confusion) / 300)


def test_an_export_that_predicts_otherwise_is_refused(attempt, model, monkeypatch):
    rows = np.ones((2, 8, 8), dtype=np.float32)
    loaded = tf.saved_model.load(str(model)).signatures["serving_default"]
    monkeypatch.setattr(export, "_direct", lambda *_: np.full((2, 10), 0.1))
    with pytest.raises(RunFailed, match="predicts otherwise than the trained model"):
        export._require_parity(None, loaded, "image", rows)
