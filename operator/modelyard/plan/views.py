"""Plain Kubernetes JSON in, the few fields that planners read out.

Called by whoever observes the cluster. A field that the API server leaves out reads as its zero
value; it never writes null for one of these.
"""

from collections.abc import Iterable
from typing import Any

from modelyard.api import names
from modelyard.plan.observed import ContainerView, JobView, PodView, ServiceView, WorkloadView
from modelyard.plan.traffic import EVERY_REVISION

Json = dict[str, Any]


def job_view(raw: Json) -> JobView:
    """Read the Job of one attempt."""
    meta, status = raw["metadata"], raw.get("status", {})
    failed = _condition(status, "Failed")
    return JobView(
        name=meta.get("name", ""),
        uid=meta.get("uid", ""),
        attempt=_attempt(meta),
        complete=bool(_condition(status, "Complete")),
        failed=bool(failed),
        failure_reason=failed.get("reason", ""),
        failure_message=failed.get("message", ""),
        deleting=_deleting(meta),
        active=status.get("active", 0),
    )


def pod_view(raw: Json) -> PodView:
    """Read a pod of a training or of a served revision."""
    meta, status = raw["metadata"], raw.get("status", {})
    return PodView(
        name=meta.get("name", ""),
        uid=meta.get("uid", ""),
        phase=status.get("phase", "Pending"),
        node_name=raw.get("spec", {}).get("nodeName", ""),
        pod_ip=status.get("podIP", ""),
        ready=bool(_condition(status, "Ready")),
        deleting=_deleting(meta),
        attempt=_attempt(meta),
        revision=_label(meta, names.LABEL_VERSION),
        unschedulable=_unschedulable(status),
        disrupted=_condition(status, "DisruptionTarget").get("reason", ""),
        containers=tuple(_containers(status)),
    )


def workload_view(raw: Json) -> WorkloadView:
    """Read the Deployment of one served revision."""
    meta, status = raw["metadata"], raw.get("status", {})
    return WorkloadView(
        name=meta.get("name", ""),
        uid=meta.get("uid", ""),
        revision=_label(meta, names.LABEL_VERSION),
        replicas=raw.get("spec", {}).get("replicas", 1),
        ready_replicas=status.get("readyReplicas", 0),
        generation=meta.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        deleting=_deleting(meta),
    )


def service_view(raw: Json) -> ServiceView:
    """Read a Service of a deployment; its revision is what the selector picks."""
    meta = raw["metadata"]
    selector = raw.get("spec", {}).get("selector", {})
    return ServiceView(
        name=meta.get("name", ""),
        uid=meta.get("uid", ""),
        revision=selector.get(names.LABEL_VERSION, EVERY_REVISION if selector else ""),
        deleting=_deleting(meta),
    )


def guards(raw: Json, training_uid: str, digest: str) -> bool:
    """Tell whether a ModelVersion, even one not understood, stands for what a run published.

    One that came from the training does, whatever somebody has done to the manifest since: what
    then becomes of the files is decided where the version goes.
    """
    spec = raw.get("spec", {})
    source = spec.get("source", {}).get("training", {})
    known = spec.get("artifact", {}).get("manifestDigest")
    return bool(source.get("uid") == training_uid or known == digest)


def _label(meta: Json, label: str) -> str:
    return str(meta.get("labels", {}).get(label, ""))


def _attempt(meta: Json) -> int:
    text = _label(meta, names.LABEL_ATTEMPT)
    return int(text) if text.isdecimal() else 0


def _deleting(meta: Json) -> bool:
    return bool(meta.get("deletionTimestamp"))


def _condition(status: Json, kind: str) -> Json:
    """Return the condition of that type if it is True, else an empty dict."""
    for condition in status.get("conditions", ()):
        if (condition["type"], condition["status"]) == (kind, "True"):
            return dict(condition)
    return {}


def _unschedulable(status: Json) -> str:
    for condition in status.get("conditions", ()):
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            return str(condition.get("message", "not scheduled"))
    return ""


def _containers(status: Json) -> Iterable[ContainerView]:
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group, ()):
            yield _container(container)


def _container(raw: Json) -> ContainerView:
    state = raw.get("state", {})
    waiting = state.get("waiting", {})
    ended = state.get("terminated", raw.get("lastState", {}).get("terminated", {}))
    return ContainerView(
        name=raw.get("name", ""),
        ready=bool(raw.get("ready")),
        restarts=raw.get("restartCount", 0),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        running="running" in state,
        exit_code=ended.get("exitCode"),
        termination_reason=ended.get("reason", ""),
        termination_message=ended.get("message", ""),
        image_id=raw.get("imageID", ""),
    )
