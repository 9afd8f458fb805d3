"""Every import contract of pyproject.toml is broken by an import that it forbids.

`make lint` shows that the contracts hold; a contract that cannot be broken would hold as well.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "operator/modelyard",
    "trainer/modelyard_trainer",
    "images/serving/modelyard_serving",
    "cli/modelyard_cli",
    "localcluster",
    "demo",
)
PLANTED = {
    "handlers > kube, store > plan > api": {
        "modelyard.api": "modelyard.plan.core",
        "modelyard.plan": "modelyard.store.commit",
        "modelyard.store": "modelyard.kube.client",
        "modelyard.kube": "modelyard.handlers.loop",
    },
    "plan and api are pure": {"modelyard.api": "random", "modelyard.plan": "time"},
    "the operator never imports TensorFlow, the trainer or the server": {
        "modelyard.handlers": "tensorflow",
        "modelyard.codegen": "modelyard_trainer.model",
        "modelyard.sentinel": "modelyard_serving.flags",
    },
    "the trainer imports only modelyard.api and modelyard.store": {
        "modelyard_trainer": "modelyard.plan.core",
    },
    "the sentinel imports only modelyard.api and modelyard.store": {
        "modelyard.sentinel": "modelyard.plan.core",
    },
    "no serving pod loads the operator's shell or a Kubernetes client": {
        "modelyard.sentinel": "kubernetes",
        "modelyard.store": "kopf",
    },
    "the command line imports only modelyard.api": {
        "modelyard_cli": "modelyard.plan.core",
        "modelyard_cli.views": "modelyard_trainer.model",
    },
    "the stand-in server and the local cluster stand alone": {
        "modelyard_serving": "modelyard.api.names",
        "localcluster": "modelyard_trainer.model",
    },
}
"""Forbidden imports by contract: package that imports, and what it imports."""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What import-linter says of a copy of the source with all these imports in it."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "gomod")
        shutil.copytree(ROOT / package, copy / Path(package).name, ignore=ignored)
    for number, imports in enumerate(PLANTED.values()):
        for package, imported in imports.items():
            path = copy / package.replace(".", "/") / f"planted_{number}.py"
            path.write_text(f"import {imported}\n")
    # The sentinel reaches the store, so an import planted there must reach the sentinel.
    with (copy / "modelyard/store/fetch.py").open("a") as file:
        file.write("\nimport modelyard.store.planted_5\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout.partition("Broken contracts")[2]


def contracts():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]]


def test_every_contract_has_an_import_that_breaks_it():
    assert sorted(contracts()) == sorted(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_forbidden_import_breaks_its_contract(report, contract):
    section = report.partition(f"{contract}\n---")[2]
    following = [section.find(f"\n{other}\n---") for other in PLANTED]
    section = section[: min((at for at in following if at >= 0), default=None)]
    number = list(PLANTED).index(contract)
    for package, imported in PLANTED[contract].items():
        chain = f"{package}.planted_{number} -> {imported} "
        assert chain in section, f"{chain} is not reported:\n{section or report}"
