"""Versions of a model: which one answers, and what becomes of the others."""

import asyncio
import shutil

import pytest
from grpc import StatusCode
from tensorflow_serving.apis.model_pb2 import ModelSpec

from modelyard_serving.errors import LoadError, RequestError
from modelyard_serving.metrics import Metrics
from modelyard_serving.model import LoadSettings, Model
from modelyard_serving.servable import SessionSettings
from tests.standin import WAIT_SECONDS

pytest_plugins = ["tests.plugins.standin"]

SPEC = ModelSpec(name="suite")


@pytest.fixture
def base(model_folder, tmp_path):
    """A base path with version 1."""
    shutil.copytree(model_folder / "mlp" / "1", tmp_path / "suite" / "1")
    return tmp_path / "suite"


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def model(base, metrics):
    settings = LoadSettings(SessionSettings(), retries=1, retry_seconds=0)
    return Model("suite", base, settings, metrics)


def states(model):
    return {one.version: one.State.Name(one.state) for one in model.statuses(SPEC)}


def tries(metrics, outcome):
    """Return how many loads ended so."""
    lines = metrics.exposition().splitlines()
    counts = [line for line in lines if f'status="{outcome}"' in line and "load_attempt" in line]
    return sum(int(line.rsplit(" ", 1)[1]) for line in counts)


async def test_a_newer_version_takes_over_and_the_older_one_ends(model, base):
    await model.refresh()
    assert states(model) == {1: "AVAILABLE"}
    (base / "1").rename(base / "2")
    await model.refresh()
    assert states(model) == {2: "AVAILABLE", 1: "END"}
    assert model.find(SPEC).version == 2
    with pytest.raises(RequestError) as gone:
        model.find(ModelSpec(name="suite", version={"value": 1}))
    assert gone.value.code == StatusCode.NOT_FOUND


async def test_a_broken_version_is_tried_as_often_as_allowed_and_changes_nothing(
    model, base, metrics
):
    await model.refresh()
    (base / "3").mkdir()
    for _ in range(2):  # a look at what failed before is no new try
        with pytest.raises(LoadError, match="cannot load the SavedModel"):
            await model.refresh()
    assert tries(metrics, "fail") == 2
    assert states(model) == {3: "END", 1: "AVAILABLE"}
    (broken,) = model.statuses(ModelSpec(name="suite", version={"value": 3}))
    assert "cannot load the SavedModel" in broken.status.error_message
    assert model.find(SPEC).version == 1


async def test_a_watched_folder_brings_the_next_version(model, base):
    await model.refresh()
    watching = asyncio.create_task(model.watch(0.01))
    (base / "1").rename(base / "2")
    async with asyncio.timeout(WAIT_SECONDS):
        while states(model).get(1) != "END":
            await asyncio.wait({watching}, timeout=0.01)
            assert not watching.done()
    watching.cancel()
    assert model.find(SPEC).version == 2


@pytest.mark.parametrize("warm_up", [b"no records", b"\0" * 8], ids=["text", "cut short"])
async def test_a_version_with_a_broken_warm_up_file_is_not_served(model, base, warm_up):
    extra = base / "1" / "assets.extra"
    extra.mkdir()
    (extra / "tf_serving_warmup_requests").write_bytes(warm_up)
    with pytest.raises(LoadError, match="verify your warmup data is in TFRecord format"):
        await model.refresh()
    assert states(model) == {1: "END"}
