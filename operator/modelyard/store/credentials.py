"""Where the keys of a store come from: a mounted Secret, the environment, else boto3's chain."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.api.errors import Refused
from modelyard.api.reasons import Reason

CREDENTIALS_VARIABLE = "MODELYARD_CREDENTIALS"
DEFAULT_FOLDER = "/etc/modelyard/stores"
ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a key, not its content
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - as above


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of one identity; the secret parts never show in logs or tracebacks."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def find_credentials(
    store_name: str, environment: Mapping[str, str] = os.environ
) -> Credentials | None:
    """Return the credentials of a store, or None to leave it to boto3's own chain.

    Read anew at every call, so that a rotated Secret counts from the next connection on.

    Raises:
        Refused: The store's directory exists and lacks a file, or only half a pair is set.
    """
    folder = Path(environment.get(CREDENTIALS_VARIABLE, DEFAULT_FOLDER)) / store_name
    if folder.is_dir():
        return _credentials_of(_Folder(folder), f"directory {folder}")
    if environment.get(ACCESS_KEY) or environment.get(SECRET_KEY):
        return _credentials_of(environment, "environment")
    return None


class _Folder(dict[str, str]):
    """The files of a mounted Secret, read when asked for."""

    def __init__(self, folder: Path) -> None:
        names = (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN)
        present = ((name, folder / name) for name in names)
        super().__init__((n, path.read_text().strip()) for n, path in present if path.is_file())


def _credentials_of(values: Mapping[str, str], place: str) -> Credentials:
    for name in (ACCESS_KEY, SECRET_KEY):
        if not values.get(name):
            message = (
                f"{place} has no {name}: the store's Secret needs {ACCESS_KEY} and {SECRET_KEY}"
            )
            raise Refused(Reason.SECRET_NOT_FOUND, message)
    return Credentials(values[ACCESS_KEY], values[SECRET_KEY], values.get(SESSION_TOKEN) or None)
