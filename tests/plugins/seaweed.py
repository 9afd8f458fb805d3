"""Fixtures of a real S3 service: `pytest_plugins = ["tests.plugins.seaweed"]` in a test file."""

from collections.abc import Iterator

import pytest

from tests.seaweed import Seaweed, running


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with running(tmp_path_factory.mktemp("seaweed")) as service:
        yield service


@pytest.fixture
def bucket(seaweed: Seaweed) -> str:
    """A bucket of the test's own."""
    return seaweed.make_bucket()
