"""Content hashes: what was built from the same inputs is not built again."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

LENGTH = 16
IGNORED = frozenset({"__pycache__", ".git", ".venv", "node_modules"})


def fingerprint(files: Iterable[Path], settings: Iterable[str] = (), *, base: Path) -> str:
    """Return a short hash of files and settings.

    A file counts with its path relative to `base`, its executable bit and its content; folders
    count with all files below them. Modification times and the place of `base` do not count.
    """
    digest = hashlib.sha256()
    for setting in settings:
        digest.update(b"s\0" + setting.encode() + b"\0")
    for file in sorted(_flatten(files)):
        digest.update(_file_entry(file, base))
    return digest.hexdigest()[:LENGTH]


def _flatten(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if name not in IGNORED]
            yield from (Path(folder) / name for name in names if not name.endswith(".pyc"))


def _file_entry(file: Path, base: Path) -> bytes:
    executable = b"x" if os.access(file, os.X_OK) else b"-"
    content = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
    name = str(file.relative_to(base)).encode()
    return b"f\0" + name + b"\0" + executable + hashlib.sha256(content).digest()
