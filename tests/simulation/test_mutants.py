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


def mutated(patch: Path, target: Path) -> Path:
    """Put a bug into a copy of the operator."""
    operator = copy_of_the_operator(target)
    subprocess.run(["git", "apply", str(patch)], cwd=operator, check=True, timeout=30)
    return operator


def hunt(operator: Path, first: int, last: int) -> Outcome:
    """Run schedules against an operator; they stop at the first that fails."""
    path = os.pathsep.join([str(operator / "operator"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation.hunt", str(first), str(last)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=operator,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    """The folder of every mutant, by its patch."""
    return {patch: mutated(patch, tmp_path_factory.mktemp(patch.stem)) for patch in MUTANTS}


@pytest.fixture(scope="module")
def outcomes(mutants):
    """What came of every mutant, by its patch."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda operator: hunt(operator, 0, SCHEDULES), mutants.values())
        return dict(zip(mutants, found, strict=True))


def seed_of(outcome: Outcome) -> int:
    """Return the seed that the message names, and that its last line runs again."""
    first, *_, last = outcome.stdout.splitlines()
    seed = int(re.findall(r"^seed (\d+),", first)[0])
    assert last == f"again: python -m tests.simulation.hunt {seed} {seed + 1}"
    return seed


def test_there_are_ten_mutants():
    assert len(MUTANTS) >= 10


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("patch", MUTANTS, ids=lambda patch: patch.stem)
def test_every_mutant_is_found(patch, outcomes):
    outcome = outcomes[patch]
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "ViolationError" in outcome.stdout or "never settles" in outcome.stdout, outcome.stdout
    assert seed_of(outcome) < SCHEDULES
    print(outcome.stdout.splitlines()[0])


def test_the_seed_of_a_failure_shows_it_again_step_by_step(mutants, outcomes):
    patch = MUTANTS[-1]
    seed = seed_of(outcomes[patch])
    assert hunt(mutants[patch], seed, seed + 1).stdout == outcomes[patch].stdout
