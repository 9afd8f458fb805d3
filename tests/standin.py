"""The stand-in server as a process, for every suite and bench that asks one."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from localcluster.envtest import free_ports

ROOT = Path(__file__).parents[1]
WAIT_SECONDS = 300
"""Far beyond what a start or an end takes, also on a machine that is busy with other things."""

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


class StandIn:
    """A server that runs with the flags of the serving pod; `stop` it."""

    def __init__(
        self, log, base_path, *flags, model="conformance", run=("-m", "modelyard_serving")
    ):
        self.model = model
        self.log = Path(log)
        self.grpc_port, self.rest_port = free_ports(2)
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
        self._command = [sys.executable, *run, *flags]
        self.start()

    def start(self):
        """Start the process, again if the last one has ended; the ports stay the same."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=environment(), cwd=ROOT
            )

    @property
    def grpc(self):
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest(self):
        return f"127.0.0.1:{self.rest_port}"

    def wait_ready(self):
        """Return this server once it answers."""
        return self._wait_until(self.answers)

    def wait_for_log(self, words):
        """Return this server once it has written `words`."""
        return self._wait_until(lambda: words in self.log.read_text())

    def answers(self):
        """Tell whether the REST port is open and knows the model."""
        try:
            self.get(f"/v1/models/{self.model}")
        except OSError:
            return False
        return True

    def get(self, path):
        """Return the text at a path of the REST port."""
        with urllib.request.urlopen(f"http://{self.rest}{path}", timeout=60) as reply:
            return reply.read().decode()

    def ended(self):
        """Return exit code and last line of a server that ends by itself."""
        code = self.process.wait(WAIT_SECONDS)
        return code, self.log.read_text().strip().splitlines()[-1]

    def kill(self):
        """End the server without its knowledge."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """End the server and return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(WAIT_SECONDS)
        finally:
            self.process.kill()

    def _wait_until(self, holds):
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"waited in vain for the server:\n{self.log.read_text()}")
            time.sleep(POLL_SECONDS)
        return self
