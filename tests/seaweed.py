"""A real S3 service for tests: SeaweedFS on loopback ports of its own, with credentials.

Use `running(folder)` directly, or the fixtures `seaweed` and `bucket` of `tests.plugins.seaweed`.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3.session
from botocore.exceptions import BotoCoreError, ClientError

from modelyard.api.store import StoreSettings
from modelyard.store.client import S3Store, connect
from modelyard.store.credentials import Credentials

PORTS = (
    "admin",
    "admin.grpc",
    "master",
    "master.grpc",
    "volume",
    "volume.grpc",
    "filer",
    "filer.grpc",
    "s3",
    "s3.grpc",
)
READY_SECONDS = 60
FLAGS = (
    "-master.telemetry=false",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.autoCreateBucket=false",
    # Each bucket takes a volume, and the default allows one per GiB of free disk.
    "-volume.max=1000",
)


@dataclass
class Seaweed:
    """A running service."""

    endpoint: str
    credentials: Credentials
    reader: Credentials
    """An identity that may only read and list."""
    folder: Path
    command: tuple[str, ...]
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, with all of its objects, and wait until it takes writes."""
        log = self.folder / "weed.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={"PATH": os.defpath, "HOME": str(self.folder), "GOMEMLIMIT": "512MiB"},
            )
        _wait_until_ready(self, log)

    def stop(self) -> None:
        """End it; connections to it are refused."""
        stop(self.process)

    def settings(self, bucket: str, **changes: Any) -> StoreSettings:
        """Return the settings of a bucket."""
        return StoreSettings(endpoint=self.endpoint, bucket=bucket, **changes)

    def store(self, bucket: str) -> S3Store:
        """Return a store with all rights."""
        return self._store.in_bucket(bucket)

    @cached_property
    def _store(self) -> S3Store:
        store = connect(self.settings("ready"), self.credentials)
        assert isinstance(store, S3Store)
        return store

    @cached_property
    def client(self) -> Any:
        """A plain boto3 client; making one costs a quarter of a second, so it is kept."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
        )

    def make_bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"test-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name


@contextmanager
def running(folder: Path) -> Iterator[Seaweed]:
    """Run SeaweedFS with its files below `folder` until the block ends."""
    owner = Credentials("modelyard", secrets.token_hex(16))
    reader = Credentials("reader", secrets.token_hex(16))
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    identities = [
        _identity(owner, "Admin", "Read", "Write", "List", "Tagging"),
        _identity(reader, "Read", "List"),
    ]
    config.write_text(json.dumps({"identities": identities}))
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    command = tuple(_command(folder, config, ports))
    seaweed = Seaweed(endpoint, owner, reader, folder, command)
    try:
        seaweed.start()
        yield seaweed
    finally:
        seaweed.client.close()
        seaweed.stop()


def _identity(keys: Credentials, *actions: str) -> dict[str, Any]:
    pair = {"accessKey": keys.access_key, "secretKey": keys.secret_key}
    return {"name": keys.access_key, "credentials": [pair], "actions": list(actions)}


def _command(folder: Path, config: Path, ports: dict[str, int]) -> list[str]:
    weed = str(Path(sysconfig.get_path("scripts")) / "weed")
    flags = [f"-{_port_flag(name)}={port}" for name, port in ports.items()]
    (folder / "objects").mkdir(exist_ok=True)
    place = [f"-dir={folder / 'objects'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    return [weed, "mini", *place, f"-s3.config={config}", *flags, *FLAGS]


def _port_flag(name: str) -> str:
    """Return the flag of a port: `s3.port`, and `s3.port.grpc` for `s3.grpc`."""
    return name.replace(".grpc", ".port.grpc") if "." in name else f"{name}.port"


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_until_ready(seaweed: Seaweed, log: Path) -> None:
    """Wait until a write succeeds: the S3 port opens before the volumes are there."""
    deadline = threading.Event()
    timer = threading.Timer(READY_SECONDS, deadline.set)
    timer.daemon = True
    timer.start()
    while not deadline.is_set() and seaweed.process.poll() is None:
        with suppress(ClientError, BotoCoreError):
            with suppress(seaweed.client.exceptions.BucketAlreadyOwnedByYou):
                seaweed.client.create_bucket(Bucket="ready")
            seaweed.client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            timer.cancel()
            return
        deadline.wait(0.1)
    timer.cancel()
    raise AssertionError(f"SeaweedFS did not start:\n{log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """End a process, by force if it does not end itself in time."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
