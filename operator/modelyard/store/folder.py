"""A store in a folder, for trainers on a laptop: the same promises, kept by a lock and renames."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from uuid import uuid4

from modelyard.api.errors import Refused
from modelyard.api.reasons import Reason
from modelyard.store.interface import Conflict, Damaged, Fetched, Listed, Missing, Store

PIECE_BYTES = 1024 * 1024
PRIVATE = ".modelyard"
"""Folder beside the buckets for the lock and half-written files."""


@dataclass(frozen=True, slots=True)
class FolderStore(Store):
    """The folder `root/bucket`; a key is a path below it.

    An object appears by a rename, so it is whole or not there. Conditions are checked under an
    exclusive lock, which the system gives back when its holder dies.
    """

    root: Path
    bucket: str

    def locate(self, key: str) -> str:
        """Return the object's path."""
        return str(self.root / self.bucket / key)

    def in_bucket(self, bucket: str) -> Self:
        """Return the same root with another bucket."""
        return replace(self, bucket=bucket)

    def get(self, key: str) -> Fetched:
        """Return an object; its etag is the SHA-256 of its content."""
        content = b"".join(self.stream(key))
        return Fetched(content, hashlib.sha256(content).hexdigest())

    def put(
        self, key: str, content: bytes, *, if_none_match: bool = True, if_match: str | None = None
    ) -> str:
        """Write an object under a condition."""
        with self._locked(), self._temporary() as temporary:
            if if_match is not None:
                self._require_etag(key, if_match)
            elif if_none_match:
                self._require_absent(key)
            temporary.write_bytes(content)
            self._install(temporary, key)
        return hashlib.sha256(content).hexdigest()

    def put_announced(self, key: str, content: bytes, sha256: str) -> None:
        """Write an object whose SHA-256 is checked."""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(f"{self.locate(key)}: the content has another SHA-256 than announced")
        self.put(key, content, if_none_match=False)

    def upload_file(self, key: str, path: Path, sha256: str) -> None:
        """Create an object from a file."""
        with self._temporary() as temporary:
            shutil.copyfile(path, temporary)
            if _sha256(temporary) != sha256:
                raise Damaged(f"{path} changed while it was copied: publish again")
            with self._locked():
                if not self._path(key).exists():
                    self._install(temporary, key)
                elif self.sha256_of(key) != sha256:
                    raise Conflict(f"{self.locate(key)} holds other content")

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the content in pieces."""
        try:
            file = self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise Missing(f"{self.locate(key)} does not exist") from error
        with file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def head(self, key: str) -> int | None:
        """Return the size in bytes, or None."""
        path = self._path(key)
        return path.stat().st_size if path.is_file() else None

    def delete(self, key: str) -> None:
        """Delete an object and the folders it leaves empty."""
        path = self._path(key)
        with self._locked(), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            with suppress(OSError):  # the first folder that is not empty ends it
                for folder in path.relative_to(self.root).parents[:-2]:
                    (self.root / folder).rmdir()

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects below a prefix, in order."""
        top = self.root / self.bucket
        folder = top / prefix.rpartition("/")[0]
        found = {str(path.relative_to(top)): path for path in folder.rglob("*") if path.is_file()}
        for key in sorted(key for key in found if key.startswith(prefix)):
            with suppress(FileNotFoundError):
                yield Listed(key, found[key].stat().st_size)

    def abort_uploads(self, prefix: str) -> None:
        """Do nothing: half-written files lie beside the buckets and hold no key."""

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in {"", ".", ".."} for part in parts) or "\0" in key:
            message = f"{key!r} cannot be a path below {self.root}: correct the name"
            raise Refused(Reason.INVALID_SPEC, message)
        return self.root.joinpath(self.bucket, *parts)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = self.root / PRIVATE
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Yield a path on the same file system, removed at the end unless it was installed."""
        folder = self.root / PRIVATE
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _install(self, temporary: Path, key: str) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)

    def _require_absent(self, key: str) -> None:
        if self._path(key).exists():
            raise Conflict(f"{self.locate(key)} exists")

    def _require_etag(self, key: str, etag: str) -> None:
        try:
            found = self.get(key).etag
        except Missing as missing:
            raise Conflict(str(missing)) from missing
        if found != etag:
            raise Conflict(f"{self.locate(key)} was changed by somebody else")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
