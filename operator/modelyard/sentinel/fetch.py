"""The first init container: bring one verified version to the disk of a serving pod.

The version appears under its number in one rename, after every file matched the manifest: the model
server never sees half of it. Only the manifest with the expected digest is ever fetched.
"""

import errno
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from modelyard.api.errors import Refused, Retry
from modelyard.api.run import ExitCode
from modelyard.api.serve import METRICS_PATH, FetchReceipt, ServeConfig
from modelyard.api.store import ModelKeys
from modelyard.sentinel.errors import Stopped
from modelyard.sentinel.folders import Folders, read_receipt
from modelyard.store.client import connect
from modelyard.store.fetch import fetch_version

ATTEMPTS = 6
FIRST_WAIT = 0.5
LONGEST_WAIT = 15.0
"""Bounds of the seconds between two attempts; the kubelet's own back-off takes over afterwards."""

MONITORING = f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

_log = logging.getLogger("modelyard.fetch")


def fetch(config: ServeConfig, models: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Bring the version that `config` names to `models`; no work if it is there already.

    Raises:
        Stopped: It cannot be fetched; the message is for the container's termination message.
    """
    folders = Folders.of(models, config)
    receipt = FetchReceipt(
        model_name=config.model_name,
        version=config.version,
        manifest_digest=config.manifest_digest,
    )
    if folders.artifact.is_dir() and read_receipt(folders.receipt) == receipt:
        _log.info("%s %s is complete already", config.model_name, config.version)
        return
    try:
        _retried(lambda: _fetch_once(config, folders), sleep)
        _finish(folders, receipt)
    except Refused as refusal:
        raise Stopped(ExitCode.DATA_ERROR, f"{refusal.reason}: {refusal}") from refusal
    except OSError as error:
        raise _disk_fault(error, models) from error


def _fetch_once(config: ServeConfig, folders: Folders) -> None:
    """Bring the version into place; what an earlier fetcher left is checked or taken up."""
    keys = ModelKeys(config.store.prefix, config.namespace, config.model_name)
    store = connect(config.store)
    fetch_version(store, keys, config.version, config.manifest_digest, folders.artifact)


def _finish(folders: Folders, receipt: FetchReceipt) -> None:
    """Write the small files, the receipt last: it says that all the rest is on the disk.

    The volume outlives a crash of the node and the page cache does not, hence the flush.
    """
    for path in folders.artifact.rglob("*"):
        _flush(path)
    _flush(folders.artifact.parent)
    folders.config.mkdir(parents=True, exist_ok=True)
    _write(folders.monitoring, MONITORING.encode())
    _write(folders.receipt, receipt.model_dump_json(by_alias=True).encode())


def _flush(path: Path) -> None:
    """Wait until a file or the entries of a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _retried(work: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Do `work`, again after transient failures of the store, a bounded number of times."""
    waits = _waits()
    while True:
        try:
            return work()
        except Retry as failure:
            wait = next(waits, None)
            if wait is None:
                raise Stopped(
                    ExitCode.INTERRUPTED, f"gave up after {ATTEMPTS} attempts: {failure}"
                ) from failure
            wait = max(wait, min(failure.after or 0, LONGEST_WAIT))
            _log.warning("%s; trying again in %.1f s", failure, wait)
            sleep(wait)


def _waits() -> Iterator[float]:
    """Yield the waits between attempts: doubling, with jitter, so that pods spread out."""
    for attempt in range(ATTEMPTS - 1):
        yield min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * random.uniform(0.5, 1)  # noqa: S311


def _write(path: Path, content: bytes) -> None:
    """Write a small file so that readers see all of it or nothing."""
    staged = path.with_name(path.name + ".part")
    staged.write_bytes(content)
    _flush(staged)
    staged.replace(path)


def _disk_fault(error: OSError, models: Path) -> Stopped:
    """Say in one line what the disk refused."""
    if error.errno in NO_SPACE:
        free = shutil.disk_usage(models).free
        return Stopped(
            ExitCode.INTERRUPTED,
            f"the disk is full: {free} bytes are free in {models}; raise the volume's size limit "
            "or free space on the node",
        )
    return Stopped(ExitCode.INTERRUPTED, f"{models} cannot be written: {error}")
