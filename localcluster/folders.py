"""Where things are kept: a cache that outlives clusters, and one state folder for each cluster."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
REPOSITORY = SOURCE.parent


def cache_root(env: Mapping[str, str] = os.environ) -> Path:
    """Return the cache folder: `MODELYARD_CACHE`, else `modelyard` in the user's cache folder."""
    if chosen := env.get("MODELYARD_CACHE"):
        return Path(chosen).absolute()
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "/root")) / ".cache"
    return Path(base) / "modelyard"


def cluster_folder(name: str, env: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder of a cluster; `down` removes it."""
    return cache_root(env) / "clusters" / name


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of that name, so that two builds or starts of the same thing queue up.

    Its file is never removed: a lock on a removed file would exclude nobody.
    """
    path = cache_root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
