"""What users do to children, and objects of theirs that have a child's name."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.api import names
from modelyard.api.deployment import ServerSpec
from modelyard.plan.revision import revision_of
from tests.api.operators import deployment, training
from tests.api.stage import Stage, Workshop

pytest_plugins = ["tests.plugins.seaweed"]
pytestmark = pytest.mark.api


@pytest.fixture
def stage(workshop: Workshop) -> Iterator[Stage]:
    with workshop.stage("child") as found:
        yield found


@pytest.fixture
def served(stage: Stage) -> Stage:
    """A stage where version 1 is served."""
    stage.operator.start()
    stage.publish()
    stage.serve()
    return stage


def serving_name(stage: Stage, version: str = "digits-v1") -> str:
    digest = stage.live("ModelVersion", version)["spec"]["artifact"]["manifestDigest"]
    revision = revision_of(digest, ServerSpec(drain_seconds=0))
    return names.serving_name("web", revision)


def foreign(stage: Stage, kind: str, name: str) -> dict[str, Any]:
    """Create an object that looks like nobody's child."""
    container = {"name": "c", "image": "none"}
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    specs: dict[str, tuple[str, dict[str, Any]]] = {
        "Deployment": ("apps/v1", {"selector": {"matchLabels": {"a": "b"}}, "template": pod}),
        "Service": ("v1", {"selector": {"a": "b"}, "ports": [{"port": 80}]}),
    }
    version, spec = specs[kind]
    meta = {"name": name, "namespace": stage.namespace}
    made = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
    return dict(stage.tier.cluster.create(made))


def unchanged(stage: Stage, kind: str, made: dict[str, Any]) -> bool:
    meta = made["metadata"]
    found = stage.tier.cluster.get(kind, stage.namespace, meta["name"])
    same: bool = found["metadata"]["resourceVersion"] == meta["resourceVersion"]
    return same


@pytest.mark.parametrize("which", ["Deployment", "version Service", "public Service"])
def test_a_foreign_object_with_a_childs_name_is_reported_and_left_alone(
    stage: Stage, which: str
) -> None:
    stage.operator.start()
    stage.publish()
    kind = which.rsplit(maxsplit=1)[-1]
    made = foreign(stage, kind, "web" if which.startswith("public") else serving_name(stage))
    stage.tier.cluster.create(deployment("web", stage.namespace, "digits-v1"))
    stage.wait(
        "the conflict is reported",
        lambda: stage.judged("ModelDeployment", "web", "Accepted") == ("False", "NameConflict"),
    )
    message = stage.live("ModelDeployment", "web")["status"]["message"]
    assert f"A {kind} named {made['metadata']['name']} exists" in message
    assert unchanged(stage, kind, made)
    stage.tier.cluster.delete(kind, stage.namespace, made["metadata"]["name"])
    stage.wait(
        "it serves once the name is free",
        lambda: stage.phase("ModelDeployment", "web") == "Healthy",
    )


def test_a_foreign_version_is_never_overwritten(stage: Stage) -> None:
    from tests.api.crd_cases import version

    manifest = version()
    manifest["metadata"] = {"name": "digits-v1", "namespace": stage.namespace}
    manifest["spec"]["version"] = 1
    manifest["spec"]["artifact"]["path"] = f"{stage.namespace}/digits/1/"
    made = stage.tier.cluster.create(manifest)
    stage.operator.start()
    stage.begin()
    stage.tier.cluster.create(training("run", stage.namespace))
    stage.wait(
        "the training has failed",
        lambda: stage.judged("ModelTraining", "run", "Failed") == ("True", "NameConflict"),
    )
    found = stage.tier.cluster.get("ModelVersion", stage.namespace, "digits-v1")
    assert found["spec"] == made["spec"]


@pytest.mark.parametrize("which", ["Deployment", "version Service", "public Service"])
def test_a_deleted_child_is_made_again(served: Stage, which: str) -> None:
    kind = which.rsplit(maxsplit=1)[-1]
    name = "web" if which.startswith("public") else serving_name(served)
    before = served.live(kind, name)["metadata"]["uid"]
    served.tier.cluster.delete(kind, served.namespace, name)
    served.wait(
        "it is there again",
        lambda: served.live(kind, name).get("metadata", {}).get("uid") not in {before, None},
    )
    served.wait("it serves again", lambda: served.phase("ModelDeployment", "web") == "Healthy")
    recorder = served.tier.recorder
    made = {k.name: n for k, n in recorder.births[served.namespace].items() if k.kind == kind}
    assert made[name] == 2
    assert sum(made.values()) == len(made) + 1


def test_a_deleted_version_in_use_is_held_until_nobody_needs_it(served: Stage) -> None:
    cluster, namespace = served.tier.cluster, served.namespace
    keys = f"{namespace}/digits/1/"
    served.store.put(keys + "stray.txt", b"not in the manifest")
    files = set(served.store.list_keys(keys))
    cluster.delete("ModelVersion", namespace, "digits-v1")
    served.wait(
        "it is held",
        lambda: served.phase("ModelVersion", "digits-v1") == "Deleting",
    )
    assert served.judged("ModelVersion", "digits-v1", "InUse") == ("True", "Served")
    said = served.live("ModelVersion", "digits-v1")["status"]["conditions"]
    assert any("web" in c["message"] and "deletion waits" in c["message"] for c in said)
    assert set(served.store.list_keys(keys)) == files
    assert served.phase("ModelDeployment", "web") in {"Healthy", "Degraded"}
    cluster.delete("ModelDeployment", namespace, "web")
    served.wait("it is gone", lambda: not served.live("ModelVersion", "digits-v1"))
    assert set(served.store.list_keys(keys)) == {keys + "stray.txt"}


def test_an_unused_version_goes_with_exactly_its_bytes(stage: Stage) -> None:
    stage.operator.start()
    stage.publish()
    root = f"{stage.namespace}/digits/"
    others = (f"{root}10/saved_model.pb", f"{root}1/stray.txt")
    for key in others:
        stage.store.put(key, b"of somebody else")
    stage.tier.cluster.delete("ModelVersion", stage.namespace, "digits-v1")
    stage.wait("it is gone", lambda: not stage.live("ModelVersion", "digits-v1"))
    left = [key for key in stage.store.list_keys(root) if not key.startswith(f"{root}_")]
    assert sorted(left) == sorted(others)


def test_a_deleted_training_leaves_its_version_and_what_serves_it(served: Stage) -> None:
    recorder, namespace = served.tier.recorder, served.namespace
    uid = served.live("ModelTraining", "run")["metadata"]["uid"]
    files = set(served.store.list_keys(f"{namespace}/digits/1/"))
    data = f"{namespace}/digits/_runs/{uid}/"
    assert any("checkpoints" in key for key in served.store.list_keys(data))
    served.tier.cluster.delete("ModelTraining", namespace, "run")
    served.wait("the training is gone", lambda: not served.live("ModelTraining", "run"))
    served.wait("its Job went with it", lambda: not recorder.of(namespace, "Job"))
    assert not any("checkpoints" in key for key in served.store.list_keys(data))
    assert set(served.store.list_keys(f"{namespace}/digits/1/")) == files
    assert served.judged("ModelVersion", "digits-v1", "Verified")[0] == "True"
    assert served.phase("ModelDeployment", "web") == "Healthy"
    assert recorder.deaths[namespace].total() == 3  # training, Job, pod
