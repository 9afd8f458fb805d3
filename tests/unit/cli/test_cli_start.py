"""Help, version and errors of usage: nothing that is slow is loaded for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard_cli.exits import Exit

ROOT = Path(__file__).parents[3]
SLOW = ("kubernetes", "aiohttp", "yaml", "asyncio", "pydantic", "rich")
TELL = f"""
import sys
from modelyard_cli.__main__ import main
try:
    main()
finally:
    print(sorted(set(sys.modules) & set({SLOW!r})), file=sys.stderr)
"""


def run(*words, code=TELL, **environment):
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("operator", "cli"))
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("words", [["--help"], ["rollout", "--help"], ["get", "-h"]])
def test_help_loads_no_client(words):
    done = run(*words)
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_version_loads_no_client():
    done = run("version", "--json")
    assert done.returncode == 0
    assert '"api": "modelyard.dev/v1alpha1"' in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["destroy"],
        ["get"],
        ["list", "--output", "xml"],
        ["rollout", "promote"],
        ["status", "x", "--timeout", "soon"],
        ["uninstall"],
        ["completion", "tcsh"],
        ["predict", "web", "--version", "warm"],
        ["rollout", "promote", "version/digits-v1"],
        ["doctor", "-o", "name"],
    ],
)
def test_a_wrong_command_line_ends_with_2(words):
    done = run(*words)
    assert done.returncode == Exit.USAGE, done.stderr
    assert "Traceback" not in done.stderr
