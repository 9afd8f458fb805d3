"""What a benchmark of the operator needs: an API server, operator processes, and their figures.

Everything is real: kube-apiserver and etcd of `localcluster`, and `python -m modelyard`. Only the
controllers of Kubernetes are left out: a Job that exists is all that is waited for.
"""

import asyncio
import base64
import io
import json
import math
import os
import pstats
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from localcluster.envtest import free_ports
from modelyard.api.config import Images
from modelyard.api.store import StoreSettings
from modelyard.api.training import ModelTraining
from modelyard.plan.manifests.job import training_job

ROOT = Path(__file__).parents[2]
NAMESPACE = "bench"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/modelyard-system/leases/modelyard-operator"
TRAININGS = f"/apis/modelyard.dev/v1alpha1/namespaces/{NAMESPACE}/modeltrainings"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
WRITTEN = (TRAININGS, JOBS, EVENTS)
STORE = {
    "bucket": "modelyard",
    "endpoint": "http://127.0.0.1:9",
    "readPrefixes": ["modelyard/datasets/"],
}
LABEL_TRAINING = "modelyard.dev/training"
WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
OURS = frozenset(
    {"modeltrainings", "modelversions", "modeldeployments"}
    | {"jobs", "events", "deployments", "services"}
)
REQUEST = re.compile(r"apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)")
CPU = re.compile(r"^process_cpu_seconds_total (\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
CALM_SECONDS = 2.0
TICKS = os.sysconf("SC_CLK_TCK")


class Api:
    """A client of the API server that stamps when each Job appeared."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.appeared: dict[str, float] = {}
        """Monotonic time at which the first Job of a training was seen, by training."""
        self._news = asyncio.Event()

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the JSON of its answer."""
        async with self._session.request(method, self._url + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def submit(self, name: str) -> float:
        """Create a ModelTraining; return when the request was sent."""
        sent = time.monotonic()
        await self.send("POST", TRAININGS, training(name))
        return sent

    async def submit_job(self, name: str) -> float:
        """Create what the operator would create for a training; return when it was sent."""
        sent = time.monotonic()
        await self.send("POST", JOBS, job(name))
        return sent

    async def submit_all(
        self, names: list[str], submit: Callable[[str], Awaitable[float]], at_once: int = 32
    ) -> dict[str, float]:
        """Create many, `at_once` requests at a time; return when each was sent."""
        limit = asyncio.Semaphore(at_once)

        async def one(name: str) -> float:
            async with limit:
                return await submit(name)

        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    async def wait_for_jobs(self, names: list[str], seconds: float) -> None:
        """Wait until every training has its Job."""
        missing = set(names)
        try:
            async with asyncio.timeout(seconds):
                while missing := {name for name in missing if name not in self.appeared}:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            example = await self.send("GET", f"{TRAININGS}/{min(missing)}")
            status = json.dumps(example.get("status"))
            raise TimeoutError(f"{len(missing)} without a Job, for instance {status}") from error

    async def writes(self) -> Counter[str]:
        """Return how many writes of others the server has answered, by kind; Leases apart.

        Ours are the creations of trainings, a verb that the operator has no use for.
        """
        text = await self._metrics()
        writes: Counter[str] = Counter()
        for found in REQUEST.finditer(text):
            labels = dict(LABEL.findall(found["labels"]))
            place = "/".join(filter(None, (labels["resource"], labels["subresource"])))
            ours = (labels["verb"], place) == ("POST", "modeltrainings")
            if labels["verb"] in WRITES and labels["resource"] in OURS and not ours:
                writes[f"{labels['verb']} {place} {labels['code']}"] += int(float(found["count"]))
        return writes

    async def cpu_seconds(self) -> float:
        """Return the CPU time of the API server so far."""
        return float(CPU.findall(await self._metrics())[0])

    async def _metrics(self) -> str:
        async with self._session.get(f"{self._url}/metrics") as answer:
            return await answer.text()

    async def revision(self) -> int:
        """Return the number of the last write of all."""
        listed = await self.send("GET", f"{TRAININGS}?limit=1")
        return int(listed["metadata"]["resourceVersion"])

    async def changes(self, since: int, name: str) -> int:
        """Count the changes after revision `since`, up to the Job of the training `name`.

        Watches that begin in the past show each change of a training, a Job or an Event with its
        revision; the creation of the training is not counted.
        """
        seen = await asyncio.gather(*(self._since(path, since) for path in WRITTEN))
        trainings, jobs, events = seen
        (until, *_) = (version for version, training in jobs if training == name)
        revisions = [version for version, _ in (*trainings, *jobs, *events)]
        return sum(version <= until for version in revisions) - 1

    async def _since(self, path: str, since: int) -> list[tuple[int, str]]:
        """Return revision and training's label of each change after `since`."""
        query = {"watch": "true", "resourceVersion": str(since), "timeoutSeconds": "1"}
        async with self._session.get(
            self._url + path, params=query, headers={"Accept": WATCH}
        ) as answer:
            found = [json.loads(line)["object"]["metadata"] async for line in answer.content]
        label = (((meta.get("labels") or {}).get(LABEL_TRAINING, "")) for meta in found)
        return [(int(m["resourceVersion"]), name) for m, name in zip(found, label, strict=True)]

    async def holder(self) -> str:
        """Return who holds the Lease, empty if nobody does."""
        try:
            lease = await self.send("GET", LEASE)
        except aiohttp.ClientResponseError:
            return ""
        return lease["spec"].get("holderIdentity") or ""

    async def watch_jobs(self) -> None:
        """Stamp Jobs as they appear, until cancelled."""
        query = {"watch": "true", "labelSelector": LABEL_TRAINING}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(
            self._url + JOBS, params=query, headers={"Accept": WATCH}, timeout=timeout
        ) as answer:
            async for line in answer.content:
                now, event = time.monotonic(), json.loads(line)
                labels = event["object"]["metadata"].get("labels") or {}
                self.appeared.setdefault(labels.get(LABEL_TRAINING, ""), now)
                self._news.set()


@cache
def example() -> dict[str, Any]:
    """Return the first example; reading it takes 20 ms, which no figure must contain."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples/01-training.yaml").read_text())
    return manifest


def training(name: str) -> dict[str, Any]:
    """Return the first example as a manifest of that name."""
    return {**example(), "metadata": {"name": name, "namespace": NAMESPACE}}


def job(name: str) -> dict[str, Any]:
    """Return the Job that the operator would create for the training of that name."""
    raw = training(name)
    owner = ModelTraining.model_validate({**raw, "metadata": {**raw["metadata"], "uid": name}})
    return training_job(owner, 1, StoreSettings(**STORE), Images())


@asynccontextmanager
async def api_of(kubeconfig: Path) -> AsyncIterator[Api]:
    """Connect, install the CRDs, and watch the Jobs."""
    config = await asyncio.to_thread(lambda: yaml.safe_load(kubeconfig.read_text()))
    connector = aiohttp.TCPConnector(ssl=_tls(config), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        api = Api(session, config["clusters"][0]["cluster"]["server"])
        await _install(api)
        watching = asyncio.create_task(api.watch_jobs())
        yield api
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _tls(config: dict[str, Any]) -> ssl.SSLContext:
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    context = ssl.create_default_context(cadata=authority.decode())
    user = config["users"][0]["user"]
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
        pair.write(base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


async def _install(api: Api) -> None:
    """Create namespaces and CRDs, and wait until the kinds are served."""
    for name in (NAMESPACE, "modelyard-system"):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await api.send("POST", "/api/v1/namespaces", body)
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        body = yaml.safe_load(path.read_text())
        await api.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    for kind in ("modeltrainings", "modelversions", "modeldeployments"):
        await until(f"{kind} are served", lambda kind=kind: _served(api, kind))


async def until(what: str, holds: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Wait until a condition holds; fail with its name if it does not in time."""
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {seconds:g} s: {what}")
        await asyncio.sleep(0.05)


async def _served(api: Api, kind: str) -> bool:
    try:
        await api.send("GET", f"/apis/modelyard.dev/v1alpha1/{kind}?limit=1")
    except aiohttp.ClientResponseError:
        return False
    return True


@dataclass
class Operator:
    """One operator process."""

    kubeconfig: Path
    folder: Path
    name: str
    profiled: bool = False
    """Whether it runs under cProfile: slower, but `profile` then says where the time went."""
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> Self:
        """Start it; its log is `<name>.log`."""
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump({"stores": [STORE]}))
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
    deadline, spent = time.monotonic() + 60, -math.inf
    while (now := await cpu_seconds()) - spent > share * CALM_SECONDS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is never idle")
        spent = now
        await asyncio.sleep(CALM_SECONDS)


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]
