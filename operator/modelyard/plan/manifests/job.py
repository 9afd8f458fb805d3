"""The Job of one attempt: created once, never changed, one pod that is never restarted."""

from typing import Any

from modelyard.api import names
from modelyard.api.config import Images
from modelyard.api.manifest import canonical_json
from modelyard.api.run import RUN_VARIABLE, ExitCode, RunConfig
from modelyard.api.store import StoreSettings
from modelyard.api.training import Compute, ModelTraining
from modelyard.plan.failure import TRAINER
from modelyard.plan.manifests import pods

Json = dict[str, Any]


def training_job(
    training: ModelTraining, attempt: int, store: StoreSettings, images: Images
) -> Json:
    """Build the Job of an attempt.

    `backoffLimit: 0`: any failed pod ends the Job, because the operator alone decides whether there
    is a next attempt, and no two pods ever write below one attempt's prefix. The podFailurePolicy
    only makes the Job name the cause.
    """
    labels = _labels(training, attempt)
    name = names.job_name(training.metadata.name, training.metadata.uid, attempt)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": pods.child_metadata("ModelTraining", training.metadata, name, labels),
        "spec": {
            "completionMode": "Indexed",
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": _template(training, attempt, store, images),
        },
    }


def run_config(training: ModelTraining, attempt: int, store: StoreSettings) -> RunConfig:
    """Return everything that the trainer of an attempt is told."""
    spec = training.spec
    return RunConfig(
        namespace=training.metadata.namespace,
        training_name=training.metadata.name,
        training_uid=training.metadata.uid,
        attempt=attempt,
        model_name=spec.model_name,
        store=store,
        recipe=spec.recipe,
        data=spec.data,
        checkpoint=spec.checkpoint,
        evaluation=spec.evaluation,
    )


def _labels(training: ModelTraining, attempt: int) -> dict[str, str]:
    return {
        names.LABEL_TRAINING: training.metadata.name,
        names.LABEL_MODEL: training.spec.model_name,
        names.LABEL_ATTEMPT: str(attempt),
        names.LABEL_COMPONENT: names.COMPONENT_TRAINER,
    }


def _failure_rules() -> list[Json]:
    ending = [code.value for code in ExitCode if code.permanent] + [ExitCode.INTERRUPTED.value]
    codes = {"containerName": TRAINER, "operator": "In", "values": sorted(ending)}
    return [
        {"action": "FailJob", "onExitCodes": codes},
        {
            "action": "FailJob",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
    ]


def _template(training: ModelTraining, attempt: int, store: StoreSettings, images: Images) -> Json:
    owned = pods.child_metadata("ModelTraining", training.metadata, "", _labels(training, attempt))
    return {
        "metadata": {"labels": owned["labels"]},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": (
                training.spec.checkpoint.termination_grace_period_seconds
            ),
            "securityContext": pods.POD_SECURITY,
            "containers": [_trainer(training, attempt, store, images)],
            "volumes": [pods.scratch("tmp")],
        },
    }


def _trainer(training: ModelTraining, attempt: int, store: StoreSettings, images: Images) -> Json:
    config = canonical_json(run_config(training, attempt, store).dump()).decode()
    return {
        "name": TRAINER,
        "image": images.trainer,
        "imagePullPolicy": images.pull_policy,
        "command": ["python", "-m", "modelyard_trainer"],
        "env": [
            {"name": RUN_VARIABLE, "value": config},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the pod's own empty volume
            *pods.credentials(store.name),
        ],
        "ports": [{"name": "progress", "containerPort": names.PORT_PROGRESS}],
        "resources": _resources(training.spec.compute),
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - see above
    }


def _resources(compute: Compute) -> Json:
    """Add the devices to requests and limits: extended resources take no other form."""
    amounts = pods.amounts(compute.resources)
    if compute.accelerator.count:
        devices = {compute.accelerator.resource_name: str(compute.accelerator.count)}
        amounts = {kind: {**given, **devices} for kind, given in amounts.items()}
    return amounts
