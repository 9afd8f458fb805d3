"""What every store can do, whether S3 or a folder; the protocols are written against this.

A store holds objects below keys. The one guarantee that all protocols rest on: a conditional `put`
or `upload_file` has exactly one winner, however many callers race.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelyard.api.errors import Retry

MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
"""Largest object that `get` takes into memory."""


class Missing(Exception):  # noqa: N818 - an answer, not a fault
    """Nothing lies at the key."""


class Conflict(Exception):  # noqa: N818 - an answer, not a fault
    """The condition of a write does not hold: look at what stands there."""


class Damaged(Retry):
    """The bytes that arrived are not the ones that were announced."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A small object."""

    content: bytes
    etag: str
    """Opaque tag of exactly this content, for `if_match`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing."""

    key: str
    size: int
    """Bytes."""


class Store(ABC):
    """Objects in one bucket. Every method may be called from several threads at once.

    All methods raise `Retry` when the store cannot be reached or is overloaded, and `Refused` when
    someone has to act; the message names the place and the remedy.
    """

    @abstractmethod
    def locate(self, key: str) -> str:
        """Return the place of a key as a person would look for it."""

    @abstractmethod
    def in_bucket(self, bucket: str) -> Self:
        """Return the same store, reading and writing another bucket."""

    @abstractmethod
    def get(self, key: str) -> Fetched:
        """Return an object of at most 32 MiB; raise Missing if there is none."""

    @abstractmethod
    def put(
        self, key: str, content: bytes, *, if_none_match: bool = True, if_match: str | None = None
    ) -> str:
        """Write an object and return its etag.

        With `if_match` only over the object of that etag, else with `if_none_match` (the default)
        only where nothing lies. A lost answer may make the store's second answer a Conflict with
        our own object, so callers compare what stands there before they give up.

        Raises:
            Conflict: The condition does not hold; nothing was written.
        """

    @abstractmethod
    def put_announced(self, key: str, content: bytes, sha256: str) -> None:
        """Write an object unless its SHA-256 is not `sha256` (hex); then raise Damaged."""

    @abstractmethod
    def upload_file(self, key: str, path: Path, sha256: str) -> None:
        """Create an object from a file; an equal object that is already there is success.

        Raises:
            Conflict: An object with other content lies there; it was not touched.
            Damaged: The file's SHA-256 is not `sha256` (hex); nothing was written.
        """

    @abstractmethod
    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the content in pieces; an interrupted read goes on where it stopped."""

    @abstractmethod
    def head(self, key: str) -> int | None:
        """Return the size in bytes, or None if there is no such object."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete an object; one that is not there counts as deleted."""

    @abstractmethod
    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects whose key starts with `prefix`, in the order of their keys."""

    @abstractmethod
    def abort_uploads(self, prefix: str) -> None:
        """Drop what interrupted uploads to keys below `prefix` left behind."""

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with `prefix`, in order."""
        return (listed.key for listed in self.list_objects(prefix))

    def download_file(self, key: str, path: Path) -> str:
        """Write an object to `path` and return the SHA-256 (hex) of the bytes written."""
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for piece in self.stream(key):
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def sha256_of(self, key: str) -> str:
        """Read an object and return the SHA-256 (hex) of its content."""
        digest = hashlib.sha256()
        for piece in self.stream(key):
            digest.update(piece)
        return digest.hexdigest()
