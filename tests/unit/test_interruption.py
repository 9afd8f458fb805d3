"""A test run that is told to end removes what its fixtures started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.folders import REPOSITORY
from localcluster.readiness import wait_until

SLOW = """
import pathlib, time, pytest

@pytest.fixture(scope="session")
def cluster():
    yield
    pathlib.Path("removed").touch()

def test_slow(cluster):
    pathlib.Path("started").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_fixtures_are_torn_down(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "test_slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "test_slow.py"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) as run:
        wait_until("no test", (tmp_path / "started").exists, 60, lambda: "look at its output")
        run.send_signal(number)
        assert run.wait(30) == pytest.ExitCode.INTERRUPTED
    assert (tmp_path / "removed").exists()
