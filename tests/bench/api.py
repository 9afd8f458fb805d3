"""A client of the API server for benchmarks: what it sends is counted, what it sees is stamped.

The API server is real: kube-apiserver and etcd of `localcluster`. Only the controllers of
Kubernetes are left out, unless a benchmark plays them.
"""

import asyncio
import base64
import json
import re
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import yaml

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
STORE: dict[str, Any] = {
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


class Sightings:
    """What was seen, and when."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        """Monotonic time at which something was seen first."""
        self._news = asyncio.Event()

    def saw(self, name: str) -> None:
        """Stamp it, unless it was seen before."""
        self.at.setdefault(name, time.monotonic())
        self._news.set()

    def missing(self, names: Iterable[str]) -> set[str]:
        """Return what was not seen yet."""
        return {name for name in names if name not in self.at}

    async def wait(self, names: Iterable[str], seconds: float) -> None:
        """Wait until everything was seen; TimeoutError if it was not in time."""
        left = self.missing(names)
        async with asyncio.timeout(seconds):
            while left:
                self._news.clear()
                await self._news.wait()
                left = self.missing(left)


class Api:
    """A client of the API server that stamps when each Job appeared."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._own: Counter[str] = Counter()
        self.jobs = Sightings()
        """When the first Job of a training was seen, by training."""

    async def send(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> Any:
        """Send one request and return the JSON of its answer."""
        headers = {"Content-Type": content} if body is not None else {}
        async with self._session.request(
            method, self._url + path, json=body, headers=headers
        ) as answer:
            if method in WRITES:
                self._own[f"{method} {_resource(path)} {answer.status}"] += 1
            answer.raise_for_status()
            return await answer.json()

    async def patch(self, path: str, body: Any) -> Any:
        """Merge a patch into an object."""
        return await self.send("PATCH", path, body, "application/merge-patch+json")

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
        try:
            await self.jobs.wait(names, seconds)
        except TimeoutError as error:
            missing = self.jobs.missing(names)
            example = await self.send("GET", f"{TRAININGS}/{min(missing)}")
            status = json.dumps(example.get("status"))
            raise TimeoutError(f"{len(missing)} without a Job, for instance {status}") from error

    async def writes(self) -> Counter[str]:
        """Return how many writes of others the server has answered, by kind; Leases apart."""
        text = await self._metrics()
        writes: Counter[str] = Counter()
        for found in REQUEST.finditer(text):
            labels = dict(LABEL.findall(found["labels"]))
            place = "/".join(filter(None, (labels["resource"], labels["subresource"])))
            if labels["verb"] in WRITES and labels["resource"] in OURS:
                writes[f"{labels['verb']} {place} {labels['code']}"] += int(float(found["count"]))
        return writes - self._own

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
        async for _, job in self.watch(JOBS, LABEL_TRAINING, WATCH):
            self.jobs.saw((job["metadata"].get("labels") or {}).get(LABEL_TRAINING, ""))

    async def watch(
        self, path: str, selector: str, accept: str = "application/json"
    ) -> AsyncIterator[tuple[str, Any]]:
        """Yield each event of a collection: its type, and the object."""
        query = {"watch": "true", "labelSelector": selector}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(
            self._url + path, params=query, headers={"Accept": accept}, timeout=timeout
        ) as answer:
            async for line in answer.content:
                event = json.loads(line)
                yield event["type"], event["object"]


def _resource(path: str) -> str:
    """Return resource and subresource of a path in a namespace, as the server's metrics do.

    >>> _resource("/api/v1/namespaces/bench/pods/one/status")
    'pods/status'
    """
    _, _, rest = path.partition("/namespaces/")
    _, *parts = rest.partition("?")[0].split("/")
    return "/".join(part for place, part in enumerate(parts) if place != 1)


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
