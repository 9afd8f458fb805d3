"""The version of this program."""

import json
from importlib.metadata import PackageNotFoundError, version

from modelyard.api.names import API_VERSION


def release() -> str:
    """Return the version that is installed."""
    try:
        return version("modelyard")
    except PackageNotFoundError:
        return "unknown"


def print_release(as_json: bool) -> None:
    """Print it with the version of the API."""
    if as_json:
        print(json.dumps({"client": release(), "api": API_VERSION}))
    else:
        print(f"modelyard {release()}, speaks {API_VERSION}")
