"""The stand-in server as a process, for every suite and bench that asks one."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 120
POLL_SECONDS = 0.05
METRICS_PATH = "/monitoring/prometheus/metrics"


def write_models(folder, function="main", *arguments):
    """Write models in a process of their own."""
    call = f"models.{function}(Path({str(folder)!r}), *{arguments!r})"
    code = f"from pathlib import Path\nfrom tests.conformance import models\n{call}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment())


def environment():
    """Return the environment of a server: its own package and the tests on the path."""
    paths = [str(ROOT / "images" / "serving"), str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "2"}


def free_port():
    """Return a TCP port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class StandIn:
    """A running server; `stop` it."""

    def __init__(
        self, log, base_path, *flags, model="conformance", run=("-m", "modelyard_serving")
    ):
        self.model = model
        self.log = Path(log)
        self.grpc_port, self.rest_port = free_port(), free_port()
        monitoring = self.log.with_suffix(".monitoring")
        monitoring.write_text(f'prometheus_config {{ enable: true, path: "{METRICS_PATH}" }}\n')
        flags = (
            f"--port={self.grpc_port}",
            f"--rest_api_port={self.rest_port}",
            f"--model_name={model}",
            f"--model_base_path={base_path}",
            f"--monitoring_config_file={monitoring}",
            "--file_system_poll_wait_seconds=0",
            "--max_num_load_retries=0",
            *flags,
        )
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *run, *flags],
                stdout=output,
                stderr=output,
                env=environment(),
                cwd=ROOT,
            )

    @property
    def grpc(self):
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest(self):
        return f"127.0.0.1:{self.rest_port}"

    def wait_ready(self):
        """Return this server once it answers."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(POLL_SECONDS)
        return self

    def answers(self):
        """Tell whether the REST port is open and knows the model."""
        try:
            urllib.request.urlopen(f"http://{self.rest}/v1/models/{self.model}", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self):
        """End the server and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()
