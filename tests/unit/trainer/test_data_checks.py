"""Bad data ends a training with words that name file, row and field."""

import numpy as np
import pytest

from modelyard.api.recipe import Task
from modelyard_trainer.checks import check_classes, check_known, check_pair
from modelyard_trainer.dataset import read_dataset
from modelyard_trainer.failures import BadData
from tests.unit.trainer.making import (
    digits,
    make_csv_source,
    make_source,
    write_npz,
    write_tumours,
)

DIGEST = "sha256:" + "a" * 64
IMAGES, LABELS = digits(20)


def read_npz(path, source=None, task=Task.IMAGE_CLASSIFICATION):
    return read_dataset(source or make_source(), path, DIGEST, task)


def read_csv(path):
    return read_dataset(make_csv_source(), path, DIGEST, Task.TABULAR_CLASSIFICATION)


def changed(array, row, value):
    """Return a float copy of `array` with one row (or one value of an image) changed."""
    copy = array.astype(float)
    copy[row] = value
    return copy


def test_images_are_read_as_they_lie_in_the_file(tmp_path):
    data = read_npz(write_npz(tmp_path / "a.npz", IMAGES.astype(np.uint8), LABELS))
    assert data.features.dtype == np.float32
    assert data.features.shape == (20, 8, 8)
    assert np.array_equal(data.features, IMAGES)
    assert np.array_equal(data.labels, LABELS)
    assert data.input_name == "image"


def test_labels_may_be_whole_floats_in_a_column(tmp_path):
    data = read_npz(write_npz(tmp_path / "a.npz", IMAGES, LABELS[:, None].astype(float)))
    assert np.array_equal(data.labels, LABELS)


NPZ_FAULTS = {
    "words as features": (np.array(["a"] * 20), LABELS, "'image' has dtype <U1"),
    "too few axes": (IMAGES[:, 0, 0], LABELS, r"'image' has shape \(20,\); ImageClassification"),
    "too many axes": (IMAGES[..., None, None], LABELS, r"shape \(20, 8, 8, 1, 1\)"),
    "no rows": (IMAGES[:0], LABELS[:0], r"'image' is empty \(shape \(0, 8, 8\)\)"),
    "no pixels": (IMAGES[:, :0], LABELS, r"'image' is empty \(shape \(20, 0, 8\)\)"),
    "nan": (
        changed(IMAGES, (7, 2, 3), np.nan),
        LABELS,
        r"row 7, position \(2, 3\) of 'image': nan",
    ),
    "infinite": (changed(IMAGES, (7, 2, 3), -np.inf), LABELS, r"row 7, .*: -inf is not a finite"),
    "beyond float32": (
        changed(IMAGES, (7, 2, 3), 1e300),
        LABELS,
        r"row 7, .*: inf is not a finite",
    ),
    "words as labels": (IMAGES, LABELS.astype(str), "'label' has dtype <U"),
    "fewer labels": (IMAGES, LABELS[:19], r"'label' has shape \(19,\), but 'image' has 20 rows"),
    "one-hot labels": (IMAGES, np.eye(10)[LABELS], r"'label' has shape \(20, 10\)"),
    "fraction": (IMAGES, changed(LABELS, 4, 1.5), r"row 4, 'label': 1.5 is not an integer"),
    "nan label": (IMAGES, changed(LABELS, 4, np.nan), r"row 4, 'label': nan is not an integer"),
    "negative": (IMAGES, changed(LABELS, 4, -1), r"row 4, 'label': -1.0 is negative"),
}


@pytest.mark.parametrize("fault", NPZ_FAULTS)
def test_a_wrong_array_is_refused_by_row_and_field(tmp_path, fault):
    image, label, message = NPZ_FAULTS[fault]
    path = write_npz(tmp_path / "a.npz", image, label)
    with pytest.raises(BadData, match=message) as refused:
        read_npz(path)
    assert str(refused.value).startswith("s3://datasets/digits/train.npz: ")
    assert refused.value.exit_code == 65


def test_a_missing_array_is_named_with_those_that_exist(tmp_path):
    path = write_npz(tmp_path / "a.npz", IMAGES, LABELS)
    source = make_source(schema={"features": ["pixels"], "label": "label"})
    with pytest.raises(BadData, match="no array 'pixels'; the file has image, label"):
        read_npz(path, source)


def test_pickled_objects_are_refused(tmp_path):
    path = write_npz(tmp_path / "a.npz", np.array([{"a": 1}] * 20, dtype=object), LABELS)
    with pytest.raises(BadData, match="cannot be read as Npz"):
        read_npz(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(BadData, match="cannot be read as Npz"):
        read_npz(path)


def test_a_single_array_file_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, IMAGES)
    with pytest.raises(BadData, match="cannot be read as Npz"):
        read_npz(path)


def test_a_table_is_read_by_column_name(tmp_path):
    data = read_csv(write_tumours(tmp_path / "a.csv", rows=30))
    assert data.features.shape == (30, 2)
    assert data.features[0].tolist() == pytest.approx([17.99, 10.38])
    assert data.input_name == "features"
    assert set(data.labels) == {0, 1}


CSV_FAULTS = {
    "missing column": (
        "id,radius,malignant\n1,2,0\n",
        "no column 'texture'; the header has id, rad",
    ),
    "no header": ("", "no column 'radius'; the header has no columns"),
    "no rows": ("radius,texture,malignant\n", r"the table is empty \(shape \(0, 2\)\)"),
    "word": (
        "radius,texture,malignant\n1,2,0\n3,wide,1\n",
        "row 1, column 'texture': 'wide' is not",
    ),
    "empty cell": (
        "radius,texture,malignant\n1,,0\n",
        "row 0, column 'texture': '' is not a number",
    ),
    "short row": ("radius,texture,malignant\n1,2,0\n3,4\n", "row 1 has 2 cells, the header has 3"),
    "nan": (
        "radius,texture,malignant\n1,2,0\nnan,4,1\n",
        "row 1, column 'radius': nan is not a fin",
    ),
    "fraction": ("radius,texture,malignant\n1,2,0\n3,4,0.5\n", "row 1, 'malignant': 0.5 is not an"),
    "negative": (
        "radius,texture,malignant\n1,2,0\n3,4,-2\n",
        "row 1, 'malignant': -2.0 is negative",
    ),
}


@pytest.mark.parametrize("fault", CSV_FAULTS)
def test_a_wrong_table_is_refused_by_row_and_column(tmp_path, fault):
    text, message = CSV_FAULTS[fault]
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadData, match=message):
        read_csv(path)


def test_a_table_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("radius,texture,malignant\n1,2,0\n# größe\n".encode("latin-1"))
    with pytest.raises(BadData, match="cannot be read as UTF-8 CSV"):
        read_csv(path)


def test_one_class_is_not_enough():
    with pytest.raises(BadData, match="'label' is 3 in every row; two classes are needed"):
        check_classes(make_source(), np.array([3, 3, 3]))


def test_a_label_far_out_of_range_is_refused():
    with pytest.raises(BadData, match="row 1, 'label': 9000 would mean 9001 classes"):
        check_classes(make_source(), np.array([0, 9000, 1]))


def test_classes_are_counted_by_the_largest_label():
    assert check_classes(make_source(), np.array([0, 3, 1, 1, 1])) == 4


def test_evaluation_rows_must_have_the_shape_of_training_rows():
    with pytest.raises(BadData, match=r"eval.npz: one row of 'image' has shape \(4, 4\), but in"):
        check_pair(make_source(), (8, 8), make_source("eval"), (4, 4))
    check_pair(make_source(), (8, 8), make_source("eval"), (8, 8))


def test_evaluation_may_not_have_unknown_classes():
    with pytest.raises(
        BadData, match=r"row 2, 'label': 5 is no class of the training data \(0 to 4"
    ):
        check_known(make_source("eval"), np.array([0, 4, 5]), 5)
