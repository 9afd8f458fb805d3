"""`kubectl modelyard` against the product on a real node: what needs a kubelet and real servers."""

import base64
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml

from demo import steps
from tests.e2e.yard import deployment, training

SPACE = "command-line"
PROGRAMS = str(Path(sys.executable).parent)
STEPS = {"steps": [{"weight": 50}, {"pause": {}}], "warmStableSeconds": 300}
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def run(yard):
    """Run it as kubectl's plugin; return exit code, output and errors."""

    def command(*words, seconds=300):
        path = f"{PROGRAMS}{os.pathsep}{yard.cluster.env['PATH']}"
        done = subprocess.run(
            ["kubectl", "modelyard", *words, "--namespace", yard.space],
            env={**yard.cluster.env, "PATH": path},
            text=True,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return command


def _file(folder, name):
    made = training(name, lambda spec: spec.update(modelName="swift"))
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(made))
    return str(path)


@pytest.fixture(scope="module")
def versions(run, yard, tmp_path_factory):
    """Two versions, trained by the command line."""
    folder = tmp_path_factory.mktemp("trainings")
    for name in ("swift-one", "swift-two"):
        done = run("train", "-f", _file(folder, name), "--timeout", "240s")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Succeeded: swift-v" in done.stdout
    return ["swift-v1", "swift-v2"]


def test_a_training_tells_its_log_and_its_pods(run, versions):
    done = run("logs", "training/swift-one", "--tail", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    tree = run("get", "training/swift-one").stdout
    assert "✔ Pod swift-one-a1-" in tree
    assert "ModelVersion swift-v1" in tree
    assert "swift-v2" in run("versions", "swift").stdout
    assert "accuracy" in run("compare", *versions).stdout


def test_a_release_from_the_first_to_the_second_and_back(run, yard, versions):
    one, two = versions
    yard.apply(deployment("swift", one, lambda spec: spec.update(rollout=STEPS, replicas=1)))
    done = run("rollout", "status", "swift", "--timeout", "240s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{one} serves, 1/1 pods ready" in done.stdout

    yard.edit("swift", modelVersionName=two)
    done = run("rollout", "status", "swift", "--timeout", "240s")
    assert done.returncode == 5, done.stdout + done.stderr
    tree = run("get", "deployment/swift").stdout
    assert f"{two}  canary 50 %" in tree
    assert yard.found("mdep", "swift")["status"]["canary"]["revision"] in tree
    assert "rollout promote swift" in run("why", "swift").stdout

    done = run("rollout", "promote", "swift", "--reason", "looks good")
    assert done.returncode == 0, done.stderr
    assert run("rollout", "status", "swift", "--timeout", "120s").returncode == 0
    newest = yard.found("mdep", "swift")["status"]["history"][0]
    assert (newest["action"], newest["version"]) == ("Promoted", two)
    assert newest["reason"] == "looks good"
    assert newest["by"] in done.stdout

    done = run("rollout", "undo", "swift", "--reason", "only a test")
    assert done.returncode == 0, done.stderr
    assert run("rollout", "status", "swift", "--timeout", "120s").returncode == 0
    newest = yard.found("mdep", "swift")["status"]["history"][0]
    assert (newest["version"], newest["reason"]) == (one, "only a test")


def test_a_prediction_through_the_api_server(run, yard, versions, tmp_path):
    sample = np.load(BytesIO(base64.b64decode(steps.one_sample())))
    file = tmp_path / "input.json"
    file.write_text(json.dumps({"instances": [sample["image"].tolist()]}))
    for words in ((), ("--version", "stable")):
        done = run("predict", "swift", "-f", str(file), *words)
        assert done.returncode == 0, done.stderr
        (answer,) = json.loads(done.stdout)["predictions"]
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert run("predict", "swift", "-d", '[["no image"]]').returncode == 2
    assert run("logs", "deployment/swift", "--tail", "3").returncode == 0


def test_restart_replaces_the_pod(run, yard, versions):
    selector = "modelyard.dev/deployment=swift"
    stable = yard.found("mdep", "swift")["status"]["stable"]["revision"]
    own = f"{selector},modelyard.dev/version={stable}"
    before = yard.pod_of(own)["metadata"]["name"]
    assert run("rollout", "restart", "swift").returncode == 0
    yard.kubectl("wait", "--for=delete", f"pod/{before}", "--timeout=180s")
    assert yard.pod_of(own)["metadata"]["name"] != before
    assert run("status", "deployment/swift", "--timeout", "120s").returncode == 0


def test_the_doctor_is_content(run):
    done = run("doctor")
    assert done.returncode == 0, done.stdout
    assert "leads, renewed" in done.stdout
    assert "✖" not in done.stdout
