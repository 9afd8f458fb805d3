"""Gathers the snapshot that a planner sees: caches first, then only the facts that it asks for."""

from dataclasses import dataclass
from typing import Any

from modelyard.api.config import OperatorConfig
from modelyard.api.deployment import ModelDeployment
from modelyard.api.errors import Refused, Retry
from modelyard.api.names import version_name
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion
from modelyard.handlers.polls import Polls
from modelyard.handlers.references import rivals_of, users_of
from modelyard.handlers.stores import Stores
from modelyard.kube.cache import Cache, owned_by
from modelyard.kube.client import Client
from modelyard.kube.kinds import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    JOB,
    MODEL_VERSION,
    POD,
    ROUTES,
    SERVICE,
    Key,
    Raw,
)
from modelyard.kube.offered import Offered
from modelyard.kube.sweep import fill
from modelyard.plan.analysis import judging
from modelyard.plan.core import Refusal
from modelyard.plan.observed import (
    DeploymentObserved,
    ManifestFact,
    PodView,
    ProgressFact,
    RunFact,
    TrainingNeeds,
    TrainingObserved,
    VersionObserved,
)
from modelyard.plan.parse import parse_version
from modelyard.plan.route_views import endpoints_view, route_view
from modelyard.plan.training import training_needs
from modelyard.plan.version import version_needs
from modelyard.plan.views import (
    guards,
    job_view,
    pod_view,
    service_view,
    workload_view,
)

LOG_BYTES = 2048
NOT_READ = ManifestFact("Unreachable", message="the store was not asked")
UNASKED = RunFact("Unreachable", message="the store was not asked")


@dataclass(frozen=True, slots=True)
class Observer:
    """Everything that observations are made with."""

    config: OperatorConfig
    client: Client
    cache: Cache
    stores: Stores
    polls: Polls
    offered: Offered

    async def training(
        self, key: Key, raw: Raw, training: ModelTraining, refusal: Refusal | None
    ) -> TrainingObserved:
        """Return the world of one ModelTraining."""
        uid, spec = training.metadata.uid, training.spec
        jobs = tuple(map(job_view, self._owned(uid, JOB.name)))
        pods = self._pods(uid)
        needs = training_needs(training, jobs, pods)
        if needs.live and not self.cache.childless(uid):
            for kind in (JOB, POD):
                await fill(self.client, self.cache, kind, key.namespace, owner=uid)
            jobs, pods = tuple(map(job_view, self._owned(uid, JOB.name))), self._pods(uid)
            needs = training_needs(training, jobs, pods)
        run = await self._run(key, training) if needs.run else UNASKED
        return TrainingObserved(
            images=self.config.images,
            store=self.config.store(spec.store_name),
            jobs=jobs,
            pods=pods,
            progress=self._progress(key, needs, pods),
            log_tail=await self._log_tail(key.namespace, needs),
            manifest=await self._training_manifest(key, training, needs),
            run=run,
            taken_over=await self._taken_over(key, training, run) if needs.guard else False,
            refusal=refusal,
        )

    async def version(
        self, key: Key, raw: Raw, version: ModelVersion, refusal: Refusal | None
    ) -> VersionObserved:
        """Return the world of one ModelVersion."""
        spec, artifact = version.spec, version.spec.artifact
        manifest = NOT_READ
        if version_needs(version):
            place = (artifact.store_name, key.namespace, spec.model_name, spec.version)
            manifest = await self.stores.manifest(*place, artifact.manifest_digest)
        store = self.config.store(artifact.store_name)
        return VersionObserved(store, manifest, users_of(self.cache, raw), refusal)

    async def deployment(
        self, key: Key, raw: Raw, deployment: ModelDeployment, refusal: Refusal | None
    ) -> DeploymentObserved:
        """Return the world of one ModelDeployment."""
        uid = deployment.metadata.uid
        pods = self._pods(uid)
        target = self._version(key.namespace, deployment.spec.model_version_name)
        stable = deployment.status.stable
        return DeploymentObserved(
            images=self.config.images,
            stores=self.config.stores,
            target=target,
            serving=self._version(key.namespace, stable.model_version_name) if stable else None,
            workloads=tuple(map(workload_view, self._owned(uid, DEPLOYMENT.name))),
            services=tuple(map(service_view, self._owned(uid, SERVICE.name))),
            pods=pods,
            sentinels=self.polls.sentinels(key, pods, judging(deployment)),
            offered=self.offered.names,
            routes=tuple(route_view(raw) for kind in ROUTES for raw in self._owned(uid, kind.name)),
            endpoints=tuple(map(endpoints_view, self.cache.children(uid, ENDPOINT_SLICE.name))),
            claims=rivals_of(self.cache, raw),
            refusal=refusal,
        )

    def _owned(self, uid: str, kind: str) -> list[dict[str, Any]]:
        """Return the children that really belong to the owner."""
        return [raw for raw in self.cache.children(uid, kind) if owned_by(raw, uid)]

    def _pods(self, uid: str) -> tuple[PodView, ...]:
        """Return the pods below an owner's Jobs or ReplicaSets, which name it by label only."""
        return tuple(map(pod_view, self.cache.children(uid, POD.name)))

    def _progress(
        self, key: Key, needs: TrainingNeeds, pods: tuple[PodView, ...]
    ) -> ProgressFact | None:
        pod = next((pod for pod in pods if pod.name == needs.progress_of), None)
        return self.polls.progress(key, pod) if pod else None

    async def _log_tail(self, namespace: str, needs: TrainingNeeds) -> str:
        """Return the end of a failed pod's log; evidence that is gone is not worth a failure."""
        if needs.log_of is None:
            return ""
        try:
            return await self.client.log_tail(namespace, needs.log_of, "trainer", LOG_BYTES)
        except (Refused, Retry):
            return ""

    async def _training_manifest(
        self, key: Key, training: ModelTraining, needs: TrainingNeeds
    ) -> ManifestFact:
        spec, status = training.spec, training.status
        if not needs.manifest or status.version is None:
            return NOT_READ
        place = (spec.store_name, key.namespace, spec.model_name, status.version)
        return await self.stores.manifest(*place, status.manifest_digest or "")

    async def _run(self, key: Key, training: ModelTraining) -> RunFact:
        spec = training.spec
        place = (spec.store_name, key.namespace, spec.model_name)
        return await self.stores.published(*place, training.metadata.uid)

    async def _taken_over(self, key: Key, training: ModelTraining, run: RunFact) -> bool:
        """Tell whether a ModelVersion has what the training published; the cache may not know."""
        if run.version is None:
            return False
        name = version_name(training.spec.model_name, run.version)
        raw = await self.client.get(MODEL_VERSION, key.namespace, name)
        return raw is not None and guards(raw, training.metadata.uid, run.manifest_digest)

    def _version(self, namespace: str, name: str) -> ModelVersion | None:
        raw = self.cache.get(Key(MODEL_VERSION.name, namespace, name))
        parsed = parse_version(raw) if raw else None
        return parsed if isinstance(parsed, ModelVersion) else None
