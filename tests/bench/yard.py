"""What a benchmark of the operator needs: an API server, and operator processes.

Everything is real: kube-apiserver and etcd of `localcluster`, and `python -m modelyard`.
"""

import asyncio
import io
import math
import os
import pstats
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from localcluster.envtest import EnvTest, free_ports
from tests.bench.api import ROOT, STORE, Api, api_of, until

SERVICES = "10.0.0.0/16"
"""Addresses of Services: 500 ModelDeployments have more than a test needs."""
CALM_SECONDS = 2.0
CALM_DEADLINE = 180.0
"""A leader has thousands of writes to do once it has found 500 versions."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Operator:
    """One operator process."""

    kubeconfig: Path
    folder: Path
    name: str
    profiled: bool = False
    """Whether it runs under cProfile: slower, but `profile` then says where the time went."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Configuration besides the store."""
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> Self:
        """Start it; its log is `<name>.log`."""
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump({"stores": [STORE], **self.settings}))
        profiler = ["-m", "cProfile", "-o", str(self._profile)] if self.profiled else []
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *profiler, "-m", "modelyard"],
                env=_environment()
                | {
                    "KUBECONFIG": str(self.kubeconfig),
                    "MODELYARD_CONFIG": str(config),
                    "POD_UID": self.name,
                    "MODELYARD_HTTP_PORT": str(free_ports(1)[0]),
                },
                stdout=log,
                stderr=log,
            )
        return self

    async def end(self, with_signal: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal, wait for the end; return when the signal was sent."""
        sent = time.monotonic()
        self.process.send_signal(with_signal)
        await asyncio.to_thread(self.process.wait, 60)
        return sent

    def profile(self, lines: int = 40) -> str:
        """Return where the CPU time of the process that has ended went, by function."""
        text = io.StringIO()
        pstats.Stats(str(self._profile), stream=text).sort_stats("tottime").print_stats(lines)
        return text.getvalue()

    @property
    def _profile(self) -> Path:
        return self.folder / f"{self.name}.prof"

    @property
    def resident_mib(self) -> float:
        """Resident memory now."""
        return resident_mib(self.process.pid)

    async def cpu_seconds(self) -> float:
        """Return the CPU time of all threads so far.

        Raises:
            FileNotFoundError: the process has ended.
        """
        path = Path(f"/proc/{self.process.pid}/stat")
        stat = path.read_text().rpartition(")")[2].split()  # noqa: ASYNC240 - it never waits
        return (int(stat[11]) + int(stat[12])) / TICKS


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "operator")}


def resident_mib(pid: int | str) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def import_mib(statement: str) -> float:
    """Return the resident memory of a Python that has only run `statement`, in MiB."""
    code = f"{statement}\nprint(open('/proc/self/status').read())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(re.findall(r"VmRSS:\s+(\d+)", done.stdout)[0]) / 1024


async def until_calm(
    what: str, cpu_seconds: Callable[[], Awaitable[float]], share: float = 0.05
) -> None:
    """Wait until a process uses at most that share of a core: started, synced, idle."""
    deadline, spent = time.monotonic() + CALM_DEADLINE, -math.inf
    while (now := await cpu_seconds()) - spent > share * CALM_SECONDS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is never idle")
        spent = now
        await asyncio.sleep(CALM_SECONDS)


@dataclass(frozen=True)
class Yard:
    """A running API server."""

    api: Api
    kubeconfig: Path
    folder: Path
    profiled: bool
    started: list[Operator] = field(default_factory=list)

    def operator(self, name: str, **settings: Any) -> Operator:
        """Start an operator; it ends with the yard at the latest."""
        operator = Operator(self.kubeconfig, self.folder, name, self.profiled, settings)
        self.started.append(operator.start())
        return self.started[-1]

    async def end(self) -> None:
        """End what still runs."""
        for operator in self.started:
            if operator.process.poll() is None:
                await operator.end(signal.SIGTERM if self.profiled else signal.SIGKILL)
            if self.profiled:
                print(f"--- {operator.name}\n{operator.profile()}")

    def show_logs(self) -> None:
        """Print the end of every operator's log."""
        for operator in self.started:
            log = (self.folder / f"{operator.name}.log").read_text()
            print(f"--- {operator.name}\n{log[-4000:]}", file=sys.stderr)


@asynccontextmanager
async def yard(profiled: bool) -> AsyncIterator[Yard]:
    """Start an empty API server; each scenario gets one of its own."""
    cluster = await asyncio.to_thread(
        EnvTest,
        api_server_flags=(f"--service-cluster-ip-range={SERVICES}",),
        progress=lambda line: print(line, file=sys.stderr),
    )
    try:
        async with api_of(cluster.kubeconfig) as api:
            place = Yard(api, cluster.kubeconfig, cluster.folder, profiled)
            try:
                yield place
            except BaseException:
                place.show_logs()
                raise
            finally:
                await place.end()
    finally:
        cluster.stop()


async def leader(place: Yard, **settings: Any) -> Operator:
    """Start an operator and wait until it leads and nobody has anything to do."""
    operator = place.operator("first", **settings)
    await until("the operator leads", place.api.holder)
    await until_calm("the operator", operator.cpu_seconds)
    await until_calm("the API server", place.api.cpu_seconds, 0.15)
    return operator
