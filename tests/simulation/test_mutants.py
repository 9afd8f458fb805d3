"""A simulation that finds nothing proves nothing: each seeded planner bug must be found.

A mutant is a patch in `mutants/`. It is applied to a copy of the operator, and schedules run
against the copy in a process of their own. If a patch no longer applies, the code it breaks has
changed: write the same bug into the new code.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
SCHEDULES = 600
SHARED = ("api", "kube", "plan", "handlers")


def copy_of_the_operator(target: Path) -> Path:
    """Copy what the simulation imports, without a `.git` above it."""
    package = target / "operator" / "modelyard"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "operator/modelyard/__init__.py", package)
    for name in SHARED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "operator/modelyard" / name, package / name, ignore=ignored)
    return target


def hunt(operator: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(operator / "operator"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation.hunt", "0", str(SCHEDULES)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=operator,
        capture_output=True,
        text=True,
        check=False,
    )


def test_there_are_ten_mutants():
    assert len(MUTANTS) >= 10


@pytest.mark.parametrize("patch", MUTANTS, ids=lambda patch: patch.stem)
def test_every_mutant_is_found(patch, tmp_path):
    operator = copy_of_the_operator(tmp_path)
    subprocess.run(["git", "apply", str(patch)], cwd=operator, check=True, timeout=30)
    outcome = hunt(operator)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "ViolationError" in outcome.stdout or "never settles" in outcome.stdout, outcome.stdout
    print(outcome.stdout.splitlines()[0])
