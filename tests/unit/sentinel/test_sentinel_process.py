"""The sidecar as the pod runs it: a process of its own, its memory, and its end."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from modelyard.api.run import ExitCode
from modelyard.api.serve import SERVE_VARIABLE
from modelyard.sentinel.folders import Folders
from tests.seaweed import free_ports

OPERATOR = Path(__file__).parents[3] / "operator"
MAX_RESIDENT_MIB = 60
"""The sidecar runs in every serving pod."""


@pytest.fixture
def start(config, models):
    """Start the sidecar before a server: `start(address, port)`; it ends with the test."""
    started = []

    def run(address, port):
        program = f"-m modelyard.sentinel --models {models} serve --port {port} --server {address}"
        process = subprocess.Popen(
            [sys.executable, *program.split()],
            env=os.environ
            | {SERVE_VARIABLE: config.model_dump_json(), "PYTHONPATH": str(OPERATOR)},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def until_ready(address, attempts=400):
    async with aiohttp.ClientSession() as session:
        for _ in range(attempts):
            try:
                async with session.get(f"{address}/ready") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectorError:
                pass
            await asyncio.sleep(0.05)
    pytest.fail("the sidecar never became ready")


async def ask(address, path, times):
    async with aiohttp.ClientSession() as session:
        for _ in range(times):
            async with session.get(address + path) as reply:
                await reply.read()


def resident_mib(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


async def test_the_sidecar_stays_small_and_ends_on_sigterm(start, scripted):
    (port,) = free_ports(1)
    process = start(scripted.address, port)
    address = f"http://127.0.0.1:{port}"
    await until_ready(address)
    await ask(address, "/metrics", 200)
    assert resident_mib(process) < MAX_RESIDENT_MIB
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.to_thread(process.communicate, timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert "ready, golden Passed: all is well" in log


def test_the_sidecar_loads_no_store_client():
    code = "import sys, modelyard.sentinel.serve; print([m for m in sys.modules if 'boto' in m])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(OPERATOR)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("content", [None, "{}"])
def test_without_a_receipt_the_sidecar_says_what_is_missing(start, config, models, content):
    receipt = Folders.of(models, config).receipt
    receipt.unlink()
    if content:
        receipt.write_text(content)
    process = start("http://127.0.0.1:1", free_ports(1)[0])
    _, log = process.communicate(timeout=20)
    assert process.returncode == ExitCode.DATA_ERROR
    assert "the fetcher left nothing" in log


def test_another_version_on_the_disk_is_refused(start, config, models):
    receipt = Folders.of(models, config).receipt
    receipt.write_text(receipt.read_text().replace("ab" * 32, "cd" * 32))
    process = start("http://127.0.0.1:1", free_ports(1)[0])
    _, log = process.communicate(timeout=20)
    assert process.returncode == ExitCode.DATA_ERROR
    assert "the fetcher left sha256:cdcd" in log
