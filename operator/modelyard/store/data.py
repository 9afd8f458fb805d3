"""Brings a data set to a local file, checked against its digest while it streams."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from modelyard.api.errors import Refused
from modelyard.api.reasons import Reason
from modelyard.store.interface import Missing, Store

URI = re.compile(r"s3://([^/]+)/(.+)")


class DataError(Refused):
    """The data set cannot be used as it is; trying again will not help."""


@dataclass(frozen=True, slots=True)
class ReadObject:
    """What was read."""

    digest: str
    """`sha256:<hex>` of the bytes."""
    size: int
    """Bytes."""


def read_object(store: Store, uri: str, target: Path, digest: str | None = None) -> ReadObject:
    """Copy `s3://bucket/key` to the file `target`, which appears only when it is whole.

    Args:
        store: Any store of the endpoint; the bucket is taken from the URI.
        uri: Where the data set lies. Whether this training may read it is the operator's question.
        target: File to write; its folder must exist.
        digest: Expected `sha256:<hex>`, if the training names one.

    Raises:
        DataError: There is no such bucket or object, access is denied, or the digest differs.
        Retry: The store did not answer.
    """
    match = URI.fullmatch(uri)
    if not match:
        raise DataError(Reason.INVALID_SPEC, f"{uri!r} is not of the form s3://bucket/key")
    bucket, key = match.groups()
    partial = target.with_name(f".{target.name}.partial")
    try:
        found = _copy(store.in_bucket(bucket), key, partial)
        _check(uri, found, digest)
        partial.replace(target)
    except Missing as missing:
        message = f"{missing}: upload the data set or correct its uri"
        raise DataError(Reason.INVALID_SPEC, message) from missing
    except Refused as refused:
        raise DataError(refused.reason, f"cannot read {uri}: {refused}") from refused
    finally:
        partial.unlink(missing_ok=True)
    return found


def _copy(store: Store, key: str, path: Path) -> ReadObject:
    hashed = hashlib.sha256()
    size = 0
    with path.open("wb") as file:
        for piece in store.stream(key):
            hashed.update(piece)
            size += file.write(piece)
    return ReadObject(f"sha256:{hashed.hexdigest()}", size)


def _check(uri: str, found: ReadObject, expected: str | None) -> None:
    if expected and found.digest != expected:
        message = (
            f"the file has digest {found.digest}, and {expected} was expected: the data changed; "
            "restore it or set the new digest"
        )
        raise Refused(Reason.DIGEST_MISMATCH, message)
