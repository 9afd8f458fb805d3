"""Finds the versions of a model on disk; needs no TensorFlow, so a wrong path fails at once."""

from pathlib import Path

from modelyard_serving.errors import LoadError


def newest_version(base_path: Path) -> tuple[int, Path]:
    """Return number and folder of the newest version.

    Raises:
        LoadError: The folder is missing, or holds no folder named by a number.
    """
    try:
        folders = [path for path in base_path.iterdir() if path.is_dir()]
    except OSError as error:
        raise LoadError(f"could not find base path {base_path}: {error.strerror}") from error
    numbered = [(int(path.name), path) for path in folders if path.name.isdecimal()]
    if not numbered:
        raise LoadError(
            f"no versions of the model found under base path {base_path}: expected a folder named "
            f"by a number, found {sorted(path.name for path in folders) or 'no folder'}"
        )
    return max(numbered)
