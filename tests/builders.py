"""Fluent builders of resources and observations: a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.api import names
from modelyard.api.config import Images
from modelyard.api.deployment import ModelDeployment
from modelyard.api.manifest import Manifest
from modelyard.api.run import ProgressReport, RunPhase, RunResult
from modelyard.api.store import StoreSettings
from modelyard.api.training import ModelTraining
from modelyard.api.version import ModelVersion
from modelyard.plan.core import Plan
from modelyard.plan.observed import (
    ContainerView,
    DeploymentObserved,
    JobView,
    ManifestFact,
    PodView,
    ProgressFact,
    RunFact,
    SentinelFact,
    TrainingObserved,
    VersionObserved,
    WorkloadView,
)

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
IMAGES = Images()
STORE = StoreSettings(bucket="models", prefix="base/", read_prefixes=("datasets/",))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def training_spec(**changes: Any) -> dict[str, Any]:
    schema = {"features": ["image"], "label": "label"}
    spec = {
        "modelName": "digits",
        "recipe": {
            "task": "ImageClassification",
            "architecture": {"name": "CNN", "convolutions": [{"filters": 8}]},
        },
        "data": [
            {"name": name, "uri": f"s3://datasets/{name}.npz", "format": "Npz", "schema": schema}
            for name in ("train", "eval")
        ],
        "evaluation": {"gates": [{"name": "floor", "metric": "accuracy", "value": "0.95"}]},
    }
    return {**spec, **changes}


def raw_training(
    status: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelTraining",
        "metadata": {
            "name": "run",
            "namespace": "team",
            "uid": "t-uid",
            "generation": 1,
            **(meta or {}),
        },
        "spec": training_spec(**spec),
        "status": status or {},
    }


def make_training(
    status: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **spec: Any
) -> ModelTraining:
    return ModelTraining.model_validate(raw_training(status, meta, **spec))


def applied(resource: Any, plan: Plan) -> Any:
    """Return the resource as the executor of the plan leaves it."""
    raw = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    if plan.status is not None:
        raw["status"] = plan.status
    finalizers = set(raw["metadata"].get("finalizers", ()))
    finalizers |= {plan.add_finalizer} - {None}
    raw["metadata"]["finalizers"] = sorted(finalizers - {plan.remove_finalizer})
    return type(resource).model_validate(raw)


def training_observed(**changes: Any) -> TrainingObserved:
    return TrainingObserved(**{"images": IMAGES, "store": STORE, **changes})


def make_job(attempt: int = 1, **changes: Any) -> JobView:
    name = names.job_name("run", "t-uid", attempt)
    return JobView(**{"name": name, "uid": f"job-{attempt}", "attempt": attempt, **changes})


def make_trainer(**changes: Any) -> ContainerView:
    return ContainerView(**{"name": "trainer", "image_id": "trainer@sha256:1", **changes})


def make_pod(attempt: int = 1, *containers: ContainerView, **changes: Any) -> PodView:
    given = {"name": f"run-{attempt}", "uid": f"pod-{attempt}", "attempt": attempt}
    return PodView(**{**given, "containers": containers or (make_trainer(),), **changes})


def running_pod(attempt: int = 1, **changes: Any) -> PodView:
    given = {"phase": "Running", "node_name": "node-1", "pod_ip": "10.0.0.7"}
    return make_pod(attempt, make_trainer(running=True), **{**given, **changes})


def ended_pod(
    exit_code: int, attempt: int = 1, message: str = "", reason: str = "Error", **changes: Any
) -> PodView:
    trainer = make_trainer(
        exit_code=exit_code, termination_message=message, termination_reason=reason
    )
    phase = "Failed" if exit_code else "Succeeded"
    return make_pod(attempt, trainer, **{"phase": phase, "node_name": "node-1", **changes})


def result_text(**changes: Any) -> str:
    given = {"exit_code": 0, "version": 3, "manifest_digest": DIGEST, "last_step": 100}
    return RunResult(**{**given, **changes}).model_dump_json(by_alias=True, exclude_none=True)


def report(moment: datetime = NOW, *, reachable: bool = True, **changes: Any) -> ProgressFact:
    given = {"phase": RunPhase.TRAINING, "attempt": 1, "step": 30, "total_steps": 100}
    answer = ProgressReport(**{**given, "epoch": 1, "total_epochs": 3, **changes})
    return ProgressFact(report=answer, time=text(moment), reachable=reachable)


def committed(version: int = 3, digest: str = DIGEST) -> RunFact:
    return RunFact("Committed", version, digest)


def make_manifest(accuracy: str = "0.97", **changes: Any) -> Manifest:
    tensor = {"name": "image", "dtype": "float32", "shape": [-1, 8, 8, 1]}
    metric = {"name": "accuracy", "value": accuracy, "dataName": "eval"}
    return Manifest.model_validate(
        {
            "modelName": "digits",
            "namespace": "team",
            "source": {"name": "run", "uid": "t-uid", "attempt": 1},
            "signatures": [{"name": "serving_default", "inputs": [tensor], "outputs": [tensor]}],
            "metrics": [{**metric, "name": "log_loss", "value": "0.2"}, metric],
            "primaryMetric": "accuracy",
            "lineage": {"recipeDigest": DIGEST, "seed": 42},
            "goldenSet": {"path": "assets.extra/golden.json", "samples": 4},
            "version": 3,
            "files": [{"path": "saved_model.pb", "size": 10, "sha256": "c" * 64}],
            **changes,
        }
    )


def found(accuracy: str = "0.97", **changes: Any) -> ManifestFact:
    return ManifestFact("Found", make_manifest(accuracy, **changes), DIGEST)


def conditions(**given: str) -> list[dict[str, Any]]:
    """Write conditions as `Accepted="True/SpecAccepted"`."""
    result = []
    for kind, value in given.items():
        status, reason = value.split("/")
        entry = {"type": kind, "status": status, "reason": reason, "message": ""}
        result.append({**entry, "lastTransitionTime": text(NOW), "observedGeneration": 1})
    return result


def make_version(
    number: int = 3, digest: str = DIGEST, meta: dict[str, Any] | None = None, **changes: Any
) -> ModelVersion:
    manifest = make_manifest().dump()
    ready = conditions(Verified="True/DigestsMatch", Servable="True/SignatureFound")
    return ModelVersion.model_validate(
        {
            "metadata": {
                "name": f"digits-v{number}",
                "namespace": "team",
                "uid": f"v{number}-uid",
                "generation": 1,
                "finalizers": [names.FINALIZER_ARTIFACT],
                **(meta or {}),
            },
            "spec": {
                "modelName": "digits",
                "version": number,
                "source": {"training": manifest["source"]},
                "artifact": {
                    "storeName": "default",
                    "path": f"team/digits/{number}/",
                    "manifestDigest": digest,
                    "files": 1,
                    "bytes": 10,
                },
                "signatures": manifest["signatures"],
                "metrics": manifest["metrics"],
                "lineage": manifest["lineage"],
                "goldenSet": manifest["goldenSet"],
            },
            "status": {"conditions": ready, "phase": "Ready"},
            **changes,
        }
    )


def version_observed(**changes: Any) -> VersionObserved:
    return VersionObserved(**{"store": STORE, **changes})


def make_deployment(
    status: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **spec: Any
) -> ModelDeployment:
    given = {"name": "digits", "namespace": "team", "uid": "d-uid", "generation": 1}
    return ModelDeployment.model_validate(
        {
            "metadata": {**given, **(meta or {})},
            "spec": {"modelVersionName": "digits-v3", **spec},
            "status": status or {},
        }
    )


def deployment_observed(**changes: Any) -> DeploymentObserved:
    given = {"images": IMAGES, "stores": (STORE,), "target": make_version()}
    return DeploymentObserved(**{**given, **changes})


def make_workload(revision: str, ready: int = 0, **changes: Any) -> WorkloadView:
    name = names.serving_name("digits", revision)
    given = {"replicas": 1, "generation": 1, "observed_generation": 1, "ready_replicas": ready}
    return WorkloadView(
        **{"name": name, "uid": f"w-{revision}", "revision": revision, **given, **changes}
    )


def serving_pod(revision: str, *containers: ContainerView, **changes: Any) -> PodView:
    given = {"name": f"digits-{revision}-x", "uid": f"p-{revision}", "revision": revision}
    base = {"phase": "Running", "ready": True, **given}
    return PodView(**{**base, "containers": containers, **changes})


def sentinel(revision: str, digest: str = DIGEST, golden: str = "Passed") -> SentinelFact:
    return SentinelFact(pod_uid=f"p-{revision}", digest=digest, golden=golden)
