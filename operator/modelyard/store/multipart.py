"""Uploads a large file in parts: each part's SHA-256 is checked by the store, the whole one by us.

boto3's own `upload_file` cannot make its last request conditional, so that two publishers could
overwrite each other. Only `part_bytes * (workers + 1)` bytes are in memory at once.
"""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelyard.store.interface import Damaged

MIB = 1024 * 1024
MAX_PARTS = 10_000
"""S3's limit of parts in one object."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How large files travel; more of both pays on networks with much delay."""

    part_bytes: int = 8 * MIB
    """Bytes of a part, and of the largest file that is sent in one request."""

    workers: int = 4
    """Parts on their way at once."""

    def part_size(self, total: int) -> int:
        """Return the bytes of a part of a file of `total` bytes, whole MiB beyond `part_bytes`.

        >>> Transfer().part_size(100 * 1024**3) // MIB
        11
        """
        needed = -(-total // MAX_PARTS)
        return self.part_bytes if needed <= self.part_bytes else -(-needed // MIB) * MIB


@dataclass(frozen=True, slots=True)
class Upload:
    """One multipart upload under way."""

    client: Any
    target: dict[str, str]
    """Bucket, Key and UploadId."""

    def send(self, number: int, content: bytes) -> dict[str, Any]:
        """Send one part and return its entry for the closing request."""
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        reply = self.client.upload_part(
            **self.target, PartNumber=number, Body=content, ChecksumSHA256=checksum
        )
        return {"PartNumber": number, "ETag": reply["ETag"], "ChecksumSHA256": checksum}

    def complete(self, parts: list[dict[str, Any]]) -> None:
        """Make the object appear, if nothing lies at its key."""
        parts.sort(key=lambda part: int(part["PartNumber"]))
        self.client.complete_multipart_upload(
            **self.target, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    def abort(self) -> None:
        """Give the parts' space back; what cannot be aborted now is left to `abort_uploads`."""
        with suppress(ClientError, BotoCoreError):
            self.client.abort_multipart_upload(**self.target)


def upload_in_parts(
    client: Any, target: dict[str, str], path: Path, sha256: str, transfer: Transfer
) -> None:
    """Create the object `target` (Bucket, Key) from a file, unless something lies there.

    Raises:
        Damaged: The file's SHA-256 is not `sha256`; no object was created.
        botocore's errors: As they come; the upload is aborted, 412 included.
    """
    begun = client.create_multipart_upload(
        **target, ChecksumAlgorithm="SHA256", Metadata={"sha256": sha256}
    )
    upload = Upload(client, {**target, "UploadId": begun["UploadId"]})
    try:
        upload.complete(_send_parts(upload, path, sha256, transfer))
    except BaseException:
        upload.abort()
        raise


def _send_parts(
    upload: Upload, path: Path, sha256: str, transfer: Transfer
) -> list[dict[str, Any]]:
    whole = hashlib.sha256()
    under_way: set[Future[dict[str, Any]]] = set()
    sent: list[dict[str, Any]] = []
    with ThreadPoolExecutor(transfer.workers, "upload") as pool:
        for number, content in enumerate(_parts(path, transfer), start=1):
            whole.update(content)
            if len(under_way) >= transfer.workers:
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                sent += [future.result() for future in finished]
            under_way.add(pool.submit(upload.send, number, content))
        sent += [future.result() for future in under_way]
    if whole.hexdigest() != sha256:
        raise Damaged(f"{path} changed while it was uploaded: publish again")
    return sent


def _parts(path: Path, transfer: Transfer) -> Iterator[bytes]:
    size = transfer.part_size(path.stat().st_size)
    with path.open("rb") as file:
        while content := file.read(size):
            yield content
