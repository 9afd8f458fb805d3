"""Which paths an artifact may contain, checked before an upload and again before a download.

A hostile or careless name must neither leave the version's directory nor confuse who reads it
(compare CVE-2024-3848 and CVE-2024-1483, where a path led out of an artifact).
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.api.errors import Refused
from modelyard.api.manifest import ManifestFile
from modelyard.api.reasons import Reason

MAX_PATH_CHARACTERS = 512
PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to publish, with where it lies on this machine."""

    entry: ManifestFile
    path: Path


def check_path(path: str) -> str:
    """Return `path` if it is relative, printable and stays below its root.

    Raises:
        Refused: It is too long, absolute, has an empty, `.` or `..` part, a backslash, or a
            character that is a control, a format mark or not text at all.
    """
    problem = _problem(path)
    if problem:
        message = f"the artifact's path {path!a} {problem}: rename the file and publish again"
        raise Refused(Reason.INVALID_SPEC, message)
    return path


def _problem(path: str) -> str:
    if not 0 < len(path) <= MAX_PATH_CHARACTERS:
        return f"has {len(path)} characters, not 1 to {MAX_PATH_CHARACTERS}"
    # Category C: controls, bidirectional marks, and the surrogates that stand for non-UTF-8 bytes.
    if any(unicodedata.category(character).startswith("C") for character in path):
        return "has a control character or is not UTF-8"
    if "\\" in path:
        return "has a backslash"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "is absolute or has an empty, `.` or `..` part"
    return ""


def check_paths(paths: Iterable[str]) -> None:
    """Check every path, and that none occurs twice or is the folder of another.

    Raises:
        Refused: One of them cannot be written safely.
    """
    known: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        if check_path(path) in known:
            raise Refused(Reason.INVALID_SPEC, f"the artifact has {path!r} twice")
        known.add(path)
        folders.update(str(folder) for folder in Path(path).parents)
    if known & folders:
        both = sorted(known & folders)[0]
        raise Refused(Reason.INVALID_SPEC, f"the artifact has {both!r} as a file and as a folder")


def inventory(directory: Path) -> tuple[LocalFile, ...]:
    """Return every file below `directory` with size and SHA-256, in the order of their paths.

    Raises:
        Refused: There is no file, or a symbolic link, a special file or an unsafe name.
    """
    if not directory.is_dir():
        raise Refused(
            Reason.INVALID_SPEC, f"{directory} is not a directory: export the model first"
        )
    files = tuple(sorted(_walk(directory, ""), key=lambda file: file.entry.path))
    if not files:
        raise Refused(Reason.INVALID_SPEC, f"{directory} has no files: export the model first")
    check_paths(file.entry.path for file in files)
    return files


def _walk(folder: Path, prefix: str) -> Iterator[LocalFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = check_path(prefix + entry.name)
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from _walk(folder / entry.name, f"{path}/")
            elif stat.S_ISREG(mode):
                yield _measure(path, folder / entry.name)
            else:
                message = f"{entry.path} is a link or special file: publish regular files only"
                raise Refused(Reason.INVALID_SPEC, message)


def _measure(name: str, path: Path) -> LocalFile:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return LocalFile(ManifestFile(path=name, size=size, sha256=digest.hexdigest()), path)
