"""The version of this program."""

import json
from importlib.metadata import PackageNotFoundError, version

from modelyard.api.names import API_VERSION
from modelyard_cli.options import Format


def release() -> str:
    """Return the version that is installed."""
    try:
        return version("modelyard")
    except PackageNotFoundError:
        return "unknown"


def print_release(form: Format) -> None:
    """Print it with the version of the API."""
    told = {"client": release(), "api": API_VERSION}
    if form is Format.JSON:
        print(json.dumps(told))
    elif form is Format.YAML:
        print("\n".join(f"{key}: {value}" for key, value in told.items()))
    else:
        print(f"modelyard {release()}, speaks {API_VERSION}")
