"""Whether this machine can run a node: end-to-end tests skip where it cannot, and nowhere else."""

from functools import cache

from localcluster import prerequisites
from localcluster.errors import Refused


@cache
def obstacle() -> str:
    """Return what this machine lacks and how to get it, or nothing."""
    try:
        prerequisites.check_machine()
    except Refused as refused:
        return f"{refused}; without it `make test-fast` runs what needs no node"
    return ""
