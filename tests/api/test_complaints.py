"""The rule of this tier: what no healthy operator writes into its log fails the test."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from tests.api.operators import ROOT, Operator

CODE = """
import asyncio, gc, logging, sys
from modelyard import __main__ as main

async def fail(): raise ValueError("a bug")

async def leave(): asyncio.ensure_future(fail()); await asyncio.sleep(0.01); gc.collect()

async def forget_to_wait(): asyncio.sleep(0); gc.collect()

async def forget_to_close():
    import aiohttp
    aiohttp.ClientSession(); gc.collect()

async def log():
    try: await fail()
    except ValueError: logging.getLogger("kopf.objects").exception("handler failed")

main._set_up_logging()
asyncio.run(locals()[sys.argv[1]]())
"""


def operator_with(log: bytes, folder: Path) -> Operator:
    """Return an operator that has ended and left a log."""
    operator = Operator(cast(Any, None), "team", folder, "one", folder, starts=1)
    operator.log.write_bytes(log)
    return operator


@pytest.mark.parametrize("bug", ["fail", "leave", "forget_to_wait", "forget_to_close", "log"])
def test_a_bug_in_an_operator_is_a_complaint(bug: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "default", "-c", CODE, bug]
    environment = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert operator_with(done.stderr, tmp_path).complaints()


def test_warnings_and_errors_are_none(tmp_path: Path) -> None:
    lines = [{"level": level, "message": "refused"} for level in ("info", "warning", "error")]
    log = "\n".join(map(json.dumps, lines)).encode()
    assert operator_with(log, tmp_path).complaints() == []
