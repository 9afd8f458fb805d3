"""Fixtures of the stand-in server: `pytest_plugins = ["tests.plugins.standin"]` in a test file.

One server serves the conformance model for the whole session: TensorFlow takes seconds to import.
"""

import warnings

import pytest

from tests.standin import StandIn, write_models


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A folder with all models of `tests.conformance.models`, as NAME/VERSION."""
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(scope="session")
def standin(model_folder, tmp_path_factory):
    """A running stand-in server with default settings."""
    log = tmp_path_factory.mktemp("standin") / "server.log"
    server = StandIn(log, model_folder / "conformance", "--enable_grpc_healthcheck_service")
    try:
        yield server.wait_ready()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def stubs():
    """The generated messages and clients; importing them imports TensorFlow, which may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.conformance import stubs

    return stubs
