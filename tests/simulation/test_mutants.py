"""A simulation that finds nothing proves nothing: each seeded planner bug must be found.

A mutant is a patch in `mutants/`. It is applied to a copy of the operator, and schedules run
against the copy in a process of their own, until one fails. If a patch no longer applies, the code
it breaks has changed: write the same bug into the new code.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
SCHEDULES = 600

Outcome = subprocess.CompletedProcess[str]


def copy_of_the_operator(target: Path) -> Path:
    """Copy the package, to where no `.git` is above it."""
    ignored = shutil.ignore_patterns("__pycache__")
    source = ROOT / "operator/modelyard"
    shutil.copytree(source, target / "operator/modelyard", ignore=ignored)
    return target


def hunt(patch: Path, target: Path) -> Outcome:
    """Run schedules against a mutant; they stop at the first that fails."""
    operator = copy_of_the_operator(target)
    subprocess.run(["git", "apply", str(patch)], cwd=operator, check=True, timeout=30)
    path = os.pathsep.join([str(operator / "operator"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation.hunt", "0", str(SCHEDULES)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=operator,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of every mutant, by its patch."""
    folders = [tmp_path_factory.mktemp(patch.stem) for patch in MUTANTS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(MUTANTS, pool.map(hunt, MUTANTS, folders), strict=True))


def test_there_are_ten_mutants():
    assert len(MUTANTS) >= 10


@pytest.mark.timeout(900)
@pytest.mark.parametrize("patch", MUTANTS, ids=lambda patch: patch.stem)
def test_every_mutant_is_found(patch, outcomes):
    outcome = outcomes[patch]
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "ViolationError" in outcome.stdout or "never settles" in outcome.stdout, outcome.stdout
    first, *_, last = outcome.stdout.splitlines()
    print(first)
    seed = int(re.findall(r"^seed (\d+),", first)[0])
    assert last == f"again: python -m tests.simulation.hunt {seed} {seed + 1}"
