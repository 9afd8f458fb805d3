"""The trainer as a pod runs it: own process, real S3, killed and stopped while it trains."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from modelyard.api.manifest import Manifest
from modelyard.api.run import RUN_VARIABLE, ProgressReport, RunPhase, RunResult
from modelyard.api.store import ModelKeys
from tests.seaweed import free_ports
from tests.unit.trainer.making import CNN, UID, make_config, make_recipe, make_source, write_digits

pytest_plugins = ["tests.plugins.seaweed"]

ROOT = Path(__file__).parents[3]
KEYS = ModelKeys("", "team", "digits")
DEADLINE_SECONDS = 240
RECIPE = make_recipe(
    architecture=CNN,
    regularization={"dropout": "0.3", "l2": "0.0001"},
    optimizer={"schedule": "Cosine"},
    epochs=30,
    batchSize=16,
)
TOTAL_STEPS = 29 * 30


class Pod:
    """One trainer process and what it says."""

    def __init__(self, process, port, log):
        self.process = process
        self._port = port
        self._log = log

    def report(self):
        """Return the progress report, or None while nobody answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}/progress", timeout=5
            ) as reply:
                return ProgressReport.model_validate_json(reply.read())
        except (urllib.error.URLError, ConnectionError):
            return None

    def until(self, reached):
        """Wait for a progress report that is as wanted."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            report = self.report()
            if report is not None and reached(report):
                return report
            assert self.process.poll() is None, self._log.read_text()
            Event().wait(0.02)
        return pytest.fail(f"never reached; last report {report}\n{self._log.read_text()}")

    def result(self):
        """Wait for the end; return the result, which is the last line of the output."""
        output, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        found = RunResult.model_validate_json(output.splitlines()[-1])
        assert found.exit_code == self.process.returncode
        return found


@pytest.fixture
def start(seaweed, tmp_path):
    """Start a trainer: `start(bucket, attempt=1, **changes)`."""
    started = []

    def start_pod(bucket, **changes):
        checkpoint = {"everySteps": 50, "keepLast": 2}
        config = make_config(tmp_path, **{"recipe": RECIPE, "checkpoint": checkpoint} | changes)
        store = seaweed.settings(bucket).dump()
        (port,) = free_ports(1)
        log = tmp_path / f"log-{len(started)}"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "modelyard_trainer"],
                stdout=subprocess.PIPE,
                stderr=file,
                env={
                    "PATH": os.defpath,
                    "HOME": str(tmp_path),
                    "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trainer'}",
                    "AWS_ACCESS_KEY_ID": seaweed.credentials.access_key,
                    "AWS_SECRET_ACCESS_KEY": seaweed.credentials.secret_key,
                    "MODELYARD_PROGRESS_PORT": str(port),
                    RUN_VARIABLE: json.dumps(config.dump() | {"store": store}),
                },
            )
        started.append(process)
        return Pod(process, port, log)

    yield start_pod
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def make_bucket(seaweed, tmp_path):
    """Make a bucket with the digits in it; every training in it has the same uid."""

    def make():
        bucket = seaweed.make_bucket()
        for name, path in write_digits(tmp_path).items():
            store = seaweed.store(bucket)
            store.put(f"team/{name}.npz", path.read_bytes())
        return bucket, {"data": data(bucket)}

    return make


def data(bucket):
    return tuple(make_source(n, uri=f"s3://{bucket}/team/{n}.npz") for n in ("train", "eval"))


def final_state(store, attempt):
    """Return the arrays of the last checkpoint."""
    key = f"{KEYS.attempt(UID, attempt)}checkpoints/step-{TOTAL_STEPS}.npz"
    with np.load(io.BytesIO(store.get(key).content)) as arrays:
        return dict(arrays)


def test_killed_and_stopped_runs_end_with_the_bits_of_an_undisturbed_one(
    start, make_bucket, seaweed
):
    calm, calm_data = make_bucket()
    rough, rough_data = make_bucket()
    calm_pod = start(calm, **calm_data)
    first = start(rough, **rough_data)
    first.until(lambda r: (r.checkpoint_step or 0) >= 100)
    first.process.kill()
    first.process.wait()

    second = start(rough, attempt=2, **rough_data)
    resumed = second.until(lambda r: r.resumed_from_step and r.step >= r.resumed_from_step + 50)
    assert resumed.resumed_from_step >= 100
    second.process.send_signal(signal.SIGTERM)
    stopped = second.result()
    assert stopped.exit_code == 75
    assert stopped.category == "Interrupted"
    assert stopped.checkpoint_step == stopped.last_step > resumed.resumed_from_step
    assert stopped.last_step < TOTAL_STEPS

    third = start(rough, attempt=3, **rough_data).result()
    assert third.resumed_from_step == stopped.last_step

    undisturbed = calm_pod.result()
    stores = seaweed.store(calm), seaweed.store(rough)
    expected, found = final_state(stores[0], 1), final_state(stores[1], 3)
    assert expected.keys() == found.keys()
    for name in expected:
        assert expected[name].tobytes() == found[name].tobytes(), name
    assert third.metrics == undisturbed.metrics
    manifests = [
        Manifest.model_validate_json(store.get(KEYS.manifest(1)).content) for store in stores
    ]
    weights = [{f.sha256 for f in m.files if "variables.data" in f.path} for m in manifests]
    assert weights[0] == weights[1]


def test_a_run_publishes_and_ships_its_log(start, make_bucket, seaweed):
    bucket, sources = make_bucket()
    pod = start(bucket, **sources, recipe=make_recipe(epochs=3))
    assert pod.until(lambda r: r.phase is RunPhase.TRAINING).total_epochs == 3
    told = pod.result()
    assert (told.exit_code, told.version, told.last_step) == (0, 1, 45)
    store = seaweed.store(bucket)
    assert b"published version 1" in store.get(KEYS.attempt(UID, 1) + "log.txt").content
    assert {m.name for m in told.metrics} >= {"accuracy", "f1", "roc_auc", "log_loss"}


def test_bad_data_ends_with_65_before_any_step(start, make_bucket):
    bucket, _ = make_bucket()
    wrong = make_source(uri=f"s3://{bucket}/team/train.npz", digest="sha256:" + "0" * 64)
    told = start(bucket, data=(wrong, data(bucket)[1])).result()
    assert (told.exit_code, told.category) == (65, "DataError")
    assert "sha256:" + "0" * 64 in told.message
    assert told.hint


def test_a_loss_that_is_no_number_ends_with_70(start, make_bucket, seaweed):
    bucket, sources = make_bucket()
    wild = make_recipe(optimizer={"name": "SGD", "learningRate": "1e30"})
    told = start(bucket, **sources, recipe=wild).result()
    assert (told.exit_code, told.category, told.version) == (70, "Diverged", None)
    assert "recipe.optimizer.learningRate" in told.hint
    assert not list(seaweed.store(bucket).list_keys(f"{KEYS.root}_registry/"))


def test_a_stop_while_starting_is_an_interruption(start, make_bucket):
    bucket, sources = make_bucket()
    pod = start(bucket, **sources)
    pod.until(lambda r: r.phase in {RunPhase.STARTING, RunPhase.FETCHING})
    pod.process.send_signal(signal.SIGTERM)
    assert pod.result().exit_code == 75


@pytest.mark.parametrize("content", ["", "{", '{"namespace": "team"}'])
def test_a_run_that_is_no_run_ends_with_64(content, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "modelyard_trainer"],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trainer'}",
            RUN_VARIABLE: content,
        },
        capture_output=True,
        check=False,
    )
    told = RunResult.model_validate_json(done.stdout.splitlines()[-1])
    assert done.returncode == told.exit_code == 64
    assert "MODELYARD_RUN" in told.message
