"""The server as a process, on a SavedModel that another process writes."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from localcluster.envtest import free_ports

SERVING = Path(__file__).parents[3] / "images" / "serving"
METRICS = "/monitoring/prometheus/metrics"
START_SECONDS = 120.0


def deadline_reached(until):
    """Wait a moment; tell whether the time is up."""
    time.sleep(0.05)
    return time.monotonic() > until


class Server:
    """One `python -m modelyard_serving`."""

    def __init__(self, base_path, log, *extra, name="suite"):
        self.grpc_port, self.rest_port = free_ports(2)
        self.log = log
        config = log.with_suffix(".monitoring")
        config.write_text(f'prometheus_config {{ enable: true path: "{METRICS}" }}')
        arguments = [
            f"--port={self.grpc_port}",
            f"--rest_api_port={self.rest_port}",
            f"--model_name={name}",
            f"--model_base_path={base_path}",
            f"--monitoring_config_file={config}",
            *(extra or ["--file_system_poll_wait_seconds=0"]),
        ]
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelyard_serving", *arguments],
                env=os.environ | {"PYTHONPATH": str(SERVING), "CUDA_VISIBLE_DEVICES": ""},
                stdout=sink,
                stderr=sink,
            )

    def ready(self):
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert not deadline_reached(until), self.log.read_text()
        return self

    def answers(self):
        try:
            return self.rest("GET", "/v1/models/suite")[0] == 200
        except urllib.error.URLError:
            return False

    def rest(self, method, path, body=None):
        """Send a request; return status and JSON."""
        code, content = self.raw(method, path, None if body is None else json.dumps(body).encode())
        return code, json.loads(content)

    def raw(self, method, path, body=None):
        url = f"http://127.0.0.1:{self.rest_port}{path}"
        request = urllib.request.Request(url, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - loopback
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def predict(self, body, signature=""):
        named = {"signature_name": signature} if signature else {}
        return self.rest("POST", "/v1/models/suite:predict", named | body)

    def metric(self, line_start):
        """Return the sum of the values of the series whose line begins so."""
        lines = self.raw("GET", METRICS)[1].decode().splitlines()
        return sum(float(li.rsplit(" ", 1)[1]) for li in lines if li.startswith(line_start))

    def terminate(self):
        self.process.terminate()
        return self.process.wait(60)

    def failed(self):
        """Wait until the server gives up; return exit code and last line."""
        code = self.process.wait(START_SECONDS)
        return code, self.log.read_text().strip().splitlines()[-1]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "suite"
    command = [sys.executable, str(Path(__file__).with_name("saved_model.py")), str(folder), "3"]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def server(saved_model, tmp_path_factory):
    """A server of version 7, shared by every test that does not stop it."""
    base = tmp_path_factory.mktemp("served")
    shutil.copytree(saved_model, base / "7")
    running = Server(
        base,
        base / "server.log",
        "--file_system_poll_wait_seconds=0",
        "--enable_grpc_healthcheck_service",
        "--enable_batching",
    )
    try:
        yield running.ready()
    finally:
        running.close()


@pytest.fixture
def start(tmp_path):
    """Starts servers and ends them after the test."""
    started = []

    def begin(base_path, *extra, **named):
        log = tmp_path / f"server-{len(started)}.log"
        started.append(Server(base_path, log, *extra, **named))
        return started[-1]

    yield begin
    for one in started:
        one.close()
