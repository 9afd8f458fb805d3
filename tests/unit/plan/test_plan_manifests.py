"""Children: deterministic, owned, and fit for the Pod Security Standard `restricted`."""

import json

import pytest

from modelyard.api import names
from modelyard.api.run import RunConfig
from modelyard.api.serve import ServeConfig
from modelyard.api.version import ModelVersion
from modelyard.plan.manifests.job import training_job
from modelyard.plan.manifests.model_version import model_version
from modelyard.plan.manifests.services import public_service, version_service
from modelyard.plan.manifests.serving_deployment import (
    serve_config,
    serving_deployment,
    serving_scale,
)
from modelyard.plan.revision import served
from modelyard.plan.traffic import EVERY_REVISION
from modelyard_serving.flags import parse
from tests.builders import (
    DIGEST,
    IMAGES,
    NOW,
    STORE,
    ended_pod,
    make_deployment,
    make_manifest,
    make_training,
    make_version,
    text,
)


def job(**spec):
    return training_job(make_training(**spec), 2, STORE, IMAGES)


def deployment(**spec):
    given = make_deployment(**spec)
    target = make_version()
    version = served(given, target, text(NOW))
    config = serve_config(given, version, STORE)
    return serving_deployment(given, config, version, IMAGES, given.spec.replicas)


def pod_of(manifest):
    return manifest["spec"]["template"]["spec"]


def containers(manifest):
    pod = pod_of(manifest)
    return [*pod.get("initContainers", ()), *pod["containers"]]


def environment(container):
    return {entry["name"]: entry for entry in container["env"]}


@pytest.mark.parametrize("build", [job, deployment])
def test_pods_pass_the_restricted_standard(build):
    pod = pod_of(build())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert all("emptyDir" in volume for volume in pod["volumes"])
    for container in containers(build()):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "hostPort" not in str(container)


@pytest.mark.parametrize("build", [job, deployment])
def test_equal_input_gives_equal_children_that_are_plain_json(build):
    assert build() == build()
    assert json.loads(json.dumps(build())) == build()


@pytest.mark.parametrize("build", [job, deployment])
def test_children_are_owned_and_findable(build):
    manifest = build()
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert owner["controller"] is True
    for labels in (
        manifest["metadata"]["labels"],
        manifest["spec"]["template"]["metadata"]["labels"],
    ):
        assert labels[names.LABEL_OWNER_UID] == owner["uid"]
    assert len(manifest["metadata"]["name"]) <= 63


def test_the_job_never_restarts_anything_by_itself():
    spec = job()["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    codes, disruption = spec["podFailurePolicy"]["rules"]
    assert codes["onExitCodes"]["values"] == [64, 65, 70, 75]
    assert disruption["onPodConditions"][0]["type"] == "DisruptionTarget"


def test_the_trainer_is_told_everything_in_one_variable():
    (trainer,) = containers(job())
    config = RunConfig.model_validate_json(environment(trainer)["MODELYARD_RUN"]["value"])
    assert (config.attempt, config.training_uid, config.store) == (2, "t-uid", STORE)
    assert config.data == make_training().spec.data
    secret = environment(trainer)["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "modelyard-store-default", "key": "AWS_ACCESS_KEY_ID"}
    token = environment(trainer)["AWS_SESSION_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert token["optional"] is True
    assert trainer["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert trainer["ports"] == [{"name": "progress", "containerPort": 8080}]


def test_devices_stand_in_requests_and_limits():
    assert "nvidia.com/gpu" not in str(job()["spec"])
    compute = {
        "accelerator": {"count": 2},
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "4Gi"}},
    }
    (trainer,) = containers(job(compute=compute))
    assert trainer["resources"] == {
        "requests": {"cpu": "1", "nvidia.com/gpu": "2"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "2"},
    }


def test_the_grace_period_is_the_users():
    spec = job(checkpoint={"terminationGracePeriodSeconds": 7})["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 7


def test_a_serving_pod_fetches_then_judges_then_drains():
    fetch, sentinel, server = containers(deployment(server={"drainSeconds": 20}))
    assert [fetch["name"], sentinel["name"], server["name"]] == ["fetch", "sentinel", "server"]
    assert "restartPolicy" not in fetch
    assert sentinel["restartPolicy"] == "Always"
    assert sentinel["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 8080}
    assert server["lifecycle"]["preStop"]["httpGet"] == {"path": "/drain", "port": 8080}
    assert "AWS_ACCESS_KEY_ID" in environment(fetch)
    assert "AWS_ACCESS_KEY_ID" not in environment(sentinel)
    told = [
        ServeConfig.model_validate_json(environment(c)["MODELYARD_SERVE"]["value"])
        for c in (fetch, sentinel)
    ]
    assert told[0] == told[1]
    assert (told[0].manifest_digest, told[0].drain_seconds) == (DIGEST, 20)
    assert pod_of(deployment(server={"drainSeconds": 20}))["terminationGracePeriodSeconds"] > 70


def test_the_server_is_started_as_tensorflow_serving_is():
    server = containers(deployment())[2]
    assert server["image"] == IMAGES.server
    assert server["command"] == ["tensorflow_model_server"]
    assert "--model_name=digits" in server["args"]
    assert "--model_base_path=/models/digits" in server["args"]
    own = containers(deployment(server={"image": "mine:1"}))[2]
    assert own["image"] == "mine:1"


def test_the_server_knows_every_flag_and_fails_at_the_first_model_that_does_not_load():
    flags = parse(containers(deployment())[2]["args"])
    flags.check()
    assert (flags.port, flags.rest_api_port) == (8500, 8501)
    assert (flags.file_system_poll_wait_seconds, flags.max_num_load_retries) == (0, 0)


@pytest.mark.parametrize(("drain", "age"), [(0, 1000), (5, 5000)])
def test_no_grpc_connection_outlives_the_drain(drain, age):
    flags = parse(containers(deployment(server={"drainSeconds": drain}))[2]["args"])
    assert flags.channel_arguments == [("grpc.max_connection_age_ms", age)]


def test_a_deployment_is_made_with_the_pods_of_its_role():
    assert deployment(replicas=4)["spec"]["replicas"] == 4


def test_the_scale_manifest_holds_nothing_of_the_template():
    given = make_deployment()
    scale = serving_scale(given, served(given, make_version(), text(NOW)), "w-uid", 5)
    assert scale["spec"] == {"replicas": 5}
    assert scale["metadata"] == {**deployment()["metadata"], "uid": "w-uid"}


def test_services_select_one_revision_and_only_one_is_public():
    given = make_deployment()
    version = served(given, make_version(), text(NOW))
    public = public_service(given, version, version.revision)
    own = version_service(given, version)
    assert public["spec"]["selector"] == own["spec"]["selector"]
    assert public["metadata"]["name"] == "digits"
    assert own["metadata"]["name"] == names.serving_name("digits", version.revision)
    ports = {port["name"]: port["port"] for port in public["spec"]["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}


def test_a_service_of_every_revision_selects_by_deployment_alone():
    given = make_deployment()
    version = served(given, make_version(), text(NOW))
    public = public_service(given, version, EVERY_REVISION)
    assert public["spec"]["selector"] == {names.LABEL_DEPLOYMENT: "digits"}


def test_a_version_outlives_its_training_and_is_guarded_from_birth():
    manifest = model_version(make_training(), make_manifest(), DIGEST, ended_pod(0))
    meta = manifest["metadata"]
    assert "ownerReferences" not in meta
    assert names.LABEL_OWNER_UID not in meta["labels"]
    assert meta["finalizers"] == [names.FINALIZER_ARTIFACT]
    parsed = ModelVersion.model_validate(manifest)
    assert parsed.spec.metrics[0].name == "accuracy"
    assert parsed.spec.artifact.bytes == 10
    assert parsed.spec.artifact.path == "team/digits/3/"
