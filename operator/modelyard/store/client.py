"""The S3 store, and `connect`, which picks the store that the settings name."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from modelyard.api.errors import Refused, Retry
from modelyard.api.reasons import Reason
from modelyard.api.store import Addressing, LocalStoreSettings, StoreSettings
from modelyard.store.credentials import Credentials, find_credentials
from modelyard.store.failures import translated
from modelyard.store.interface import (
    MAX_DOCUMENT_BYTES,
    Conflict,
    Damaged,
    Fetched,
    Listed,
    Missing,
    Store,
)
from modelyard.store.multipart import Transfer, upload_in_parts

__all__ = ["Conflict", "Fetched", "Missing", "S3Store", "Store", "connect"]

STREAM_ATTEMPTS = 5
PIECE_BYTES = 1024 * 1024


def connect(settings: StoreSettings, credentials: Credentials | None = None) -> Store:
    """Return the store that `settings` name; nothing is sent before the first call.

    Making a client takes a quarter of a second of CPU: keep the store, and share it between
    threads. Rotated credentials count from the next `connect` on.

    Args:
        settings: Endpoint, bucket and addressing; `LocalStoreSettings` give a folder.
        credentials: Keys to use instead of those that `find_credentials` finds.

    Raises:
        Refused: The endpoint or the credentials are malformed.
    """
    if isinstance(settings, LocalStoreSettings):
        from modelyard.store.folder import FolderStore  # noqa: PLC0415 - needs flock, so not Windows

        return FolderStore(Path(settings.folder), settings.bucket)
    found = credentials or find_credentials(settings.name)
    try:
        client = _client(settings, found)
    except (ValueError, BotoCoreError) as error:
        message = f"store {settings.name!r} is misconfigured: {error}; correct the store's settings"
        raise Refused(Reason.INVALID_SPEC, message) from error
    return S3Store(client, settings.bucket, client.meta.endpoint_url)


def _client(settings: StoreSettings, credentials: Credentials | None) -> Any:
    style = "path" if settings.addressing is Addressing.PATH else "virtual"
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=8,
        s3={"addressing_style": style},
        # We announce SHA-256 ourselves and check it against the manifest after a download.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Only the administrator's settings may redirect our requests, not a variable in a pod.
        ignore_configured_endpoint_urls=True,
    )
    keys: dict[str, str | None] = {}
    if credentials:
        keys = {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.session_token,
        }
    # A session of our own: boto3's global one is shared and not safe between threads.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        verify=settings.ca_file,
        config=config,
        **keys,
    )


@dataclass(slots=True)
class _Reading:
    """How far a stream has come."""

    offset: int = 0
    size: int | None = None
    etag: str = ""

    @property
    def finished(self) -> bool:
        return self.size is not None and self.offset >= self.size

    def request(self) -> dict[str, str]:
        """Return the headers that make the next reply go on where the last one broke."""
        return {"Range": f"bytes={self.offset}-", "IfMatch": self.etag} if self.offset else {}


@dataclass(frozen=True, slots=True)
class S3Store(Store):
    """One bucket of an S3-compatible service; boto3's clients may be shared between threads."""

    client: Any
    bucket: str
    endpoint: str
    transfer: Transfer = field(default_factory=Transfer)

    def locate(self, key: str) -> str:
        """Return `s3://bucket/key at <endpoint>`."""
        return f"s3://{self.bucket}/{key} at {self.endpoint}"

    def in_bucket(self, bucket: str) -> Self:
        """Return the same service with another bucket."""
        return replace(self, bucket=bucket)

    def get(self, key: str) -> Fetched:
        """Return a small object."""
        with self._translated(key):
            reply = self.client.get_object(**self._target(key))
            with closing(reply["Body"]) as body:
                if reply["ContentLength"] > MAX_DOCUMENT_BYTES:
                    message = f"{self.locate(key)} is too large for a document of Modelyard"
                    raise Refused(Reason.DIGEST_MISMATCH, message)
                return Fetched(body.read(), reply["ETag"])

    def put(
        self, key: str, content: bytes, *, if_none_match: bool = True, if_match: str | None = None
    ) -> str:
        """Write an object under a condition."""
        condition = {"IfMatch": if_match} if if_match else {}
        if if_none_match and not if_match:
            condition = {"IfNoneMatch": "*"}
        try:
            return self._put(key, content, hashlib.sha256(content).hexdigest(), condition)
        except Missing as gone:  # AWS answers 404 when If-Match meets an empty key
            raise Conflict(str(gone)) from gone

    def put_announced(self, key: str, content: bytes, sha256: str) -> None:
        """Write an object whose SHA-256 the service checks."""
        self._put(key, content, sha256, {})

    def upload_file(self, key: str, path: Path, sha256: str) -> None:
        """Create an object from a file, in parts if it is large."""
        try:
            if path.stat().st_size <= self.transfer.part_bytes:
                self._upload_small(key, path, sha256)
            elif self._recorded_sha256(key) != sha256:
                self._upload_large(key, path, sha256)
        except Conflict:
            self._accept_equal(key, sha256)

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the content; a broken connection is taken up again up to four times."""
        reading = _Reading()
        for left in reversed(range(STREAM_ATTEMPTS)):
            try:
                yield from self._pieces(key, reading)
            except Conflict as changed:
                raise Retry(f"{self.locate(key)} changed while it was read") from changed
            except Retry:
                if not left:
                    raise
            if reading.finished:
                return

    def head(self, key: str) -> int | None:
        """Return the size in bytes, or None."""
        reply = self._head(key)
        return None if reply is None else int(reply["ContentLength"])

    def delete(self, key: str) -> None:
        """Delete an object."""
        with self._translated(key):
            self.client.delete_object(**self._target(key))

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects below a prefix, page by page."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        for page in self._paged(prefix, pages):
            for entry in page.get("Contents", ()):
                yield Listed(entry["Key"], entry["Size"])

    def abort_uploads(self, prefix: str) -> None:
        """Abort multipart uploads whose sender is gone."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        for page in self._paged(prefix, pages):
            for entry in page.get("Uploads", ()):
                self._abort(entry["Key"], entry["UploadId"])

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": key}

    def _translated(self, key: str) -> Any:
        return translated(f"s3://{self.bucket}/{key}", self.endpoint)

    def _put(self, key: str, content: bytes, sha256: str, condition: dict[str, str]) -> str:
        with self._translated(key):
            reply = self.client.put_object(
                **self._target(key),
                **condition,
                Body=content,
                ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
                Metadata={"sha256": sha256},
            )
        return str(reply["ETag"])

    def _upload_small(self, key: str, path: Path, sha256: str) -> None:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(f"{path} changed while it was uploaded: publish again")
        self._put(key, content, sha256, {"IfNoneMatch": "*"})

    def _upload_large(self, key: str, path: Path, sha256: str) -> None:
        with self._translated(key):
            upload_in_parts(self.client, self._target(key), path, sha256, self.transfer)

    def _accept_equal(self, key: str, sha256: str) -> None:
        """Raise Conflict unless the object at the key has this SHA-256."""
        try:
            found = self._recorded_sha256(key) or self.sha256_of(key)
        except Missing as gone:
            message = f"{self.locate(key)} was there and is gone: somebody else writes to this key"
            raise Retry(message) from gone
        if found != sha256:
            raise Conflict(f"{self.locate(key)} holds other content (sha256 {found})")

    def _recorded_sha256(self, key: str) -> str | None:
        """Return what the uploader recorded; the store checked it part by part at that time."""
        reply = self._head(key)
        return None if reply is None else reply.get("Metadata", {}).get("sha256")

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            with self._translated(key):
                reply: dict[str, Any] = self.client.head_object(**self._target(key))
        except Missing:
            return None
        return reply

    def _pieces(self, key: str, reading: _Reading) -> Iterator[bytes]:
        with self._translated(key):
            reply = self.client.get_object(**self._target(key), **reading.request())
            reading.etag = reply["ETag"]
            reading.size = reading.offset + reply["ContentLength"]
            with closing(reply["Body"]) as body:
                for piece in body.iter_chunks(PIECE_BYTES):
                    reading.offset += len(piece)
                    yield piece

    def _paged(self, prefix: str, pages: Any) -> Iterator[dict[str, Any]]:
        remaining = iter(pages)
        while True:
            with self._translated(prefix):
                page = next(remaining, None)
            if page is None:
                return
            yield page

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            with self._translated(key):
                self.client.abort_multipart_upload(**self._target(key), UploadId=upload_id)
        except Refused as refused:
            # NoSuchUpload: its sender completed or aborted it meanwhile.
            if "NoSuchUpload" not in str(refused):
                raise
