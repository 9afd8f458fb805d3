"""A store whose caller is killed, or held, at a chosen step; and the judge of what is left."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from modelyard.api.store import ModelKeys
from modelyard.store.interface import Fetched, Listed, Missing, Store

Step = Callable[[str], None]
"""Called before and after every request; may raise Killed, or block."""


class Killed(BaseException):
    """The process is gone: not an Exception, so that no product code can catch it."""


@dataclass
class Fuse:
    """Kills at the step of a given number, counted from 0; never, if the number is too large."""

    number: int
    steps: int = 0

    def __call__(self, name: str) -> None:
        self.steps += 1
        # Later steps of other threads of the same process die as well.
        if self.steps > self.number:
            raise Killed(name)


@dataclass(frozen=True)
class SteppedStore(Store):
    """Calls `step` before and after every request to `inner`."""

    inner: Store
    step: Step

    def _around(self, name: str, work: Callable[[], Any]) -> Any:
        self.step(f"before {name}")
        result = work()
        self.step(f"after {name}")
        return result

    def locate(self, key: str) -> str:
        return self.inner.locate(key)

    def in_bucket(self, bucket: str) -> Self:
        return type(self)(self.inner.in_bucket(bucket), self.step)

    def get(self, key: str) -> Fetched:
        fetched: Fetched = self._around("get", lambda: self.inner.get(key))
        return fetched

    def put(
        self, key: str, content: bytes, *, if_none_match: bool = True, if_match: str | None = None
    ) -> str:
        return str(
            self._around(
                "put",
                lambda: self.inner.put(
                    key, content, if_none_match=if_none_match, if_match=if_match
                ),
            )
        )

    def put_announced(self, key: str, content: bytes, sha256: str) -> None:
        self._around("put", lambda: self.inner.put_announced(key, content, sha256))

    def upload_file(self, key: str, path: Path, sha256: str) -> None:
        self._around("upload", lambda: self.inner.upload_file(key, path, sha256))

    def stream(self, key: str) -> Iterator[bytes]:
        pieces: list[bytes] = self._around("stream", lambda: list(self.inner.stream(key)))
        yield from pieces

    def head(self, key: str) -> int | None:
        size: int | None = self._around("head", lambda: self.inner.head(key))
        return size

    def delete(self, key: str) -> None:
        self._around("delete", lambda: self.inner.delete(key))

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        found: list[Listed] = self._around("list", lambda: list(self.inner.list_objects(prefix)))
        yield from found

    def abort_uploads(self, prefix: str) -> None:
        self._around("abort", lambda: self.inner.abort_uploads(prefix))


@dataclass
class Audit:
    """What lies in the store, read without the product's code."""

    broken: list[str] = field(default_factory=list)
    """Committed versions with a file that is missing or has other bytes."""
    duplicates: list[str] = field(default_factory=list)
    """Trainings with more than one committed version."""
    strays: list[str] = field(default_factory=list)
    """Files below numbers that have no manifest."""
    committed: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Number and manifest digest by training uid."""

    @property
    def clean(self) -> bool:
        return not (self.broken or self.duplicates)


def audit(store: Store, keys: ModelKeys) -> Audit:
    """Read every manifest and every file of a model and compare them."""
    found = Audit()
    owners: Counter[str] = Counter()
    numbers = set()
    for key in store.list_keys(f"{keys.root}_registry/manifests/"):
        content = store.get(key).content
        manifest = json.loads(content)
        if "files" not in manifest or "source" not in manifest:
            continue  # a tombstone
        numbers.add(str(manifest["version"]))
        uid = manifest["source"]["uid"]
        owners[uid] += 1
        found.committed[uid] = (manifest["version"], digest(content))
        found.broken += _damages(store, keys, manifest)
    found.duplicates = [uid for uid, count in owners.items() if count > 1]
    keys_of_files = (k.removeprefix(keys.root) for k in store.list_keys(keys.root))
    found.strays = [
        key for key in keys_of_files if key[0] != "_" and key.split("/")[0] not in numbers
    ]
    return found


def _damages(store: Store, keys: ModelKeys, manifest: dict[str, Any]) -> list[str]:
    damages = []
    for file in manifest["files"]:
        key = f"{keys.root}{manifest['version']}/{file['path']}"
        try:
            intact = digest(b"".join(store.stream(key))) == "sha256:" + file["sha256"]
        except Missing:
            intact = False
        if not intact:
            damages.append(key)
    return damages


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
