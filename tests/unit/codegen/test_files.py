"""The generated files: up to date, small, and a difference is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from modelyard.codegen.files import generated, outdated, to_yaml, write

ROOT = Path(__file__).resolve().parents[3]
FILES = generated()


def test_the_checkout_is_up_to_date():
    assert outdated(ROOT, FILES) == []


def test_a_difference_is_shown_and_mended(tmp_path):
    assert set(write(tmp_path, FILES)) == set(FILES)
    assert write(tmp_path, FILES) == []
    spoilt = tmp_path / "crds/modelversions.yaml"
    spoilt.write_text(spoilt.read_text().replace("mver", "mv"))
    (difference,) = outdated(tmp_path, FILES)
    assert "-    - mv\n" in difference
    assert "+    - mver\n" in difference


def test_check_exits_with_1_on_a_difference(tmp_path):
    command = [sys.executable, "-m", "modelyard.codegen", "--check", "--root", str(tmp_path)]
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "make generate" in done.stderr
    assert "b/crds/modeltrainings.yaml" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("crds/")])
def test_each_crd_stays_below_100_kilobytes(path):
    assert len(FILES[path].encode()) < 100_000
    names = yaml.safe_load(FILES[path])["spec"]["names"]
    assert names["categories"] == ["modelyard"]
    assert names["shortNames"][0] in {"mtrain", "mver", "mdep"}


def test_equal_values_are_written_twice_not_linked():
    value = {"a": 1}
    assert to_yaml([value, value]) == "- a: 1\n- a: 1\n"


def test_the_reference_names_every_field_and_rule():
    api = FILES["docs/reference/api.md"]
    assert "| `spec.recipe.epochs` | integer | `10` | Passes over the training data." in api
    assert "| `spec.data[].schema.label` | string | **required** |" in api
    assert "- spec is immutable, it is the record of what was trained" in api
    assert "| 75 | interrupted | yes |" in FILES["docs/reference/run-contract.md"]
    assert "| `progressIntervalSeconds` | number | `5" in FILES["docs/reference/config.md"]
    assert "| `stores[].credentialsSecretName` |" in FILES["docs/reference/values.md"]
