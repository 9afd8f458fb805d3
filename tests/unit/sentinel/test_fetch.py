"""The fetcher as the pod runs it, a process of its own, before a real S3 service."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from modelyard.api.manifest import ManifestDraft
from modelyard.api.run import ExitCode
from modelyard.api.serve import SERVE_VARIABLE, ServeConfig
from modelyard.api.store import ModelKeys
from modelyard.sentinel.errors import Stopped
from modelyard.sentinel.fetch import ATTEMPTS, fetch
from modelyard.sentinel.folders import Folders, read_receipt
from modelyard.store.publication import publish

pytest_plugins = ["tests.plugins.seaweed"]

OPERATOR = Path(__file__).parents[3] / "operator"
KEYS = ModelKeys("base/", "team", "digits")
FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 2000,
    "assets.extra/golden.json": b"{}",
}
DRAFT = ManifestDraft.model_validate(
    {
        "modelName": "digits",
        "namespace": "team",
        "source": {"name": "first", "uid": "6e1c", "attempt": 1},
        "signatures": [{"name": "serving_default", "inputs": [], "outputs": []}],
        "metrics": [{"name": "accuracy", "value": "0.9", "dataName": "eval"}],
        "primaryMetric": "accuracy",
        "lineage": {"recipeDigest": "sha256:" + "0" * 64, "seed": 1},
    }
)


@pytest.fixture
def version(seaweed, bucket, tmp_path):
    """A published version: the serving contract that names it."""
    source = tmp_path / "source"
    for name, content in FILES.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    published = publish(seaweed.store(bucket), KEYS, DRAFT, source)
    return ServeConfig(
        store=seaweed.settings(bucket, prefix="base/"),
        namespace="team",
        model_name="digits",
        version=published.version,
        manifest_digest=published.manifest_digest,
    )


@pytest.fixture
def credentials(seaweed, monkeypatch):
    """The keys that the pod gets from its Secret."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.credentials.secret_key)


@pytest.fixture
def models(tmp_path, credentials):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def changed(config, **changes):
    return ServeConfig.model_validate(config.model_dump() | changes)


def environment(config):
    return os.environ | {SERVE_VARIABLE: config.model_dump_json(), "PYTHONPATH": str(OPERATOR)}


def command(models):
    return [sys.executable, "-m", "modelyard.sentinel", "--models", str(models), "fetch"]


def run(config, models):
    return subprocess.run(
        command(models), env=environment(config), capture_output=True, text=True, check=False
    )


def assert_complete(models, config):
    folders = Folders.of(models, config)
    found = {
        path.relative_to(folders.artifact).as_posix(): path.read_bytes()
        for path in folders.artifact.rglob("*")
        if path.is_file()
    }
    assert found == FILES
    receipt = read_receipt(folders.receipt)
    assert receipt is not None
    assert receipt.manifest_digest == config.manifest_digest
    assert 'path: "/monitoring/prometheus/metrics"' in folders.monitoring.read_text()
    assert [path.name for path in folders.artifact.parent.iterdir()] == [str(config.version)]


def assert_nothing_visible(models, config):
    assert not Folders.of(models, config).artifact.exists()
    assert not Folders.of(models, config).receipt.exists()


def test_a_version_is_fetched_whole_with_the_files_that_the_server_needs(version, models):
    done = run(version, models)
    assert done.returncode == 0, done.stderr
    assert_complete(models, version)


def test_a_complete_version_needs_no_store(version, models):
    fetch(version, models)
    away = version.store.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    fetch(version.model_copy(update={"store": away}), models, sleep=pytest.fail)
    assert_complete(models, version)


def test_a_version_without_receipt_is_checked_again(version, models):
    fetch(version, models)
    Folders.of(models, version).receipt.unlink()
    fetch(version, models)
    assert_complete(models, version)


def test_a_fetch_that_was_killed_is_taken_up(version, models):
    staged = Folders.of(models, version).artifact.parent
    process = subprocess.Popen(command(models), env=environment(version), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not staged.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert staged.exists()
    done = run(version, models)
    assert done.returncode == 0, done.stderr
    assert_complete(models, version)


def refusal(config, models):
    """Return the last line of a refused fetch; before it stand only attempts that came to nothing.

    A store that is busy with other things may let one fail.
    """
    done = run(config, models)
    assert done.returncode == ExitCode.DATA_ERROR, done.stderr
    *before, last = done.stderr.strip().splitlines()
    assert all("trying again in" in line for line in before), done.stderr
    assert_nothing_visible(models, config)
    return last


def test_another_manifest_is_never_served(version, models):
    other = changed(version, manifest_digest="sha256:" + "f" * 64)
    assert "DigestMismatch" in refusal(other, models)


def test_a_version_that_does_not_exist_is_named(version, models):
    assert "manifests/99.json" in refusal(changed(version, version=99), models)


def test_a_replaced_file_is_found_by_its_sha256(version, models, seaweed, bucket):
    key = KEYS.artifact(version.version) + "saved_model.pb"
    seaweed.client.put_object(Bucket=bucket, Key=key, Body=b"GRAPH")
    line = refusal(version, models)
    assert "SHA-256" in line
    assert key in line


def test_wrong_keys_are_told(version, models, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "Secret" in refusal(version, models)


def test_a_silent_store_ends_after_a_bounded_number_of_attempts(version, models):
    away = version.store.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    waits = []
    with pytest.raises(Stopped, match=r"gave up after 6 attempts: .*127\.0\.0\.1:1") as stopped:
        fetch(version.model_copy(update={"store": away}), models, sleep=waits.append)
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    assert len(waits) == ATTEMPTS - 1
    assert all(0 < wait <= 15 for wait in waits)


def test_a_store_that_comes_back_is_used(version, models):
    """The first attempt meets a closed port; the wait after it opens the way to the store."""
    address = ("127.0.0.1", int(version.store.endpoint.rsplit(":", 1)[1]))
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        waits = []

        def open_the_way(seconds):
            if not waits:
                listener.listen()
                threading.Thread(target=_forward_all, args=(listener, address), daemon=True).start()
            waits.append(seconds)

        detour = version.store.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
        fetch(version.model_copy(update={"store": detour}), models, sleep=open_the_way)
        listener.shutdown(socket.SHUT_RDWR)
    assert waits
    assert_complete(models, version)


def _forward_all(listener, address):
    while True:
        try:
            incoming, _ = listener.accept()
        except OSError:
            return
        outgoing = socket.create_connection(address)
        for pair in ((incoming, outgoing), (outgoing, incoming)):
            threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source, target):
    """Copy until either end closes, or breaks off with bytes unread."""
    with source, suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


def test_a_full_disk_is_told_with_the_free_bytes(version, models):
    """A real file system of 64 KiB in a mount namespace of the fetcher's own."""
    mount = f"mount -t tmpfs -o size=64k tmpfs {models} && exec "
    unshare = [shutil.which("unshare") or "unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*unshare, f"{mount} true"], check=False, capture_output=True).returncode:
        pytest.skip("needs Linux with user and mount namespaces")
    done = subprocess.run(
        [*unshare, mount + " ".join(command(models))],
        env=environment(version),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert done.stderr.startswith("fetch: the disk is full: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("value", "words"), [(None, "is not set"), ("{", "is not valid")])
def test_a_missing_contract_is_told(models, value, words):
    env = {key: text for key, text in os.environ.items() if key != SERVE_VARIABLE}
    env |= {"PYTHONPATH": str(OPERATOR)} | ({SERVE_VARIABLE: value} if value else {})
    done = subprocess.run(command(models), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.BAD_CONFIGURATION
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_contract_survives_its_journey_through_the_environment(version):
    text = json.dumps(version.dump())
    assert ServeConfig.model_validate_json(text) == version
