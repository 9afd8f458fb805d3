"""Names that could leave a directory or deceive a reader are refused on both ways."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.errors import Refused
from modelyard.store.paths import check_path, check_paths, inventory
from tests.unit.store.artifacts import FILES, make_model


@pytest.mark.parametrize(
    "path", ["saved_model.pb", "variables/a", "assets/ü.txt", "..a", "x" * 512]
)
def test_honest_paths(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a/..",
        ".",
        "a//b",
        "a/",
        "a\nb",
        "a\x00b",
        "a\\b",
        "\udcff",
        "a\u202eb",
        "a\x7fb",
    ],
)
def test_unsafe_paths(path: str) -> None:
    with pytest.raises(Refused, match="rename the file"):
        check_path(path)


def test_a_path_has_a_largest_length() -> None:
    with pytest.raises(Refused, match="513 characters"):
        check_path("x" * 513)


@given(st.text(max_size=40))
def test_an_accepted_path_stays_below_its_root(path: str) -> None:
    try:
        check_path(path)
    except Refused:
        return
    assert os.path.normpath(f"/root/{path}") == f"/root/{path}"


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b")])
def test_paths_that_cannot_lie_side_by_side(paths: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="artifact has"):
        check_paths(paths)


def test_an_inventory_is_sorted_and_exact(tmp_path: Path) -> None:
    found = inventory(make_model(tmp_path))
    assert tuple(file.entry.path for file in found) == FILES
    for file in found:
        content = (tmp_path / file.entry.path).read_bytes()
        assert file.entry.size == len(content)
        assert file.entry.sha256 == hashlib.sha256(content).hexdigest()


def make_link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")


def make_folder_link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc")


def make_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def make_bytes_name(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))).write_bytes(b"")


def make_control_name(folder: Path) -> None:
    (folder / "a\nb").write_bytes(b"")


@pytest.mark.parametrize(
    "spoil", [make_link, make_folder_link, make_pipe, make_bytes_name, make_control_name]
)
def test_an_inventory_refuses(tmp_path: Path, spoil: object) -> None:
    make_model(tmp_path)
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(Refused):
        inventory(tmp_path)


def test_an_empty_directory_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no files"):
        inventory(tmp_path)
    with pytest.raises(Refused, match="not a directory"):
        inventory(tmp_path / "nothing")
