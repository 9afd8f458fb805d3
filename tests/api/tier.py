"""What the tests of this tier share: one API server, what is watched and played around it.

`AUDIT` makes the API server write down every request of a ServiceAccount: what an operator asks for
is compared with what the chart grants.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.api.admin import Access, Admin
from tests.api.background import Background
from tests.api.nodes import Nodes
from tests.api.operators import Cluster
from tests.api.proxy import Door
from tests.api.recorder import Recorder

AUDIT: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


def audit_flags(folder: Path) -> tuple[str, ...]:
    """Return the flags that make an API server keep the log `audit.log` in a folder."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(AUDIT))
    return (f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}")


@dataclass(frozen=True)
class Asked:
    """One kind of request of a ServiceAccount, and whether it was allowed."""

    verb: str
    group: str
    resource: str
    """With the subresource, after a slash."""
    allowed: bool


def audited(folder: Path, namespace: str) -> Iterator[Asked]:
    """Yield the requests about objects that ServiceAccounts of a namespace sent.

    Args:
        folder: where the log lies.
        namespace: that of one operator. Others may have met an API server that had just started
            and had not read its roles yet.
    """
    for line in (folder / "audit.log").read_text().splitlines():
        entry = json.loads(line)
        place = entry.get("objectRef")
        ours = entry["user"]["username"].startswith(f"system:serviceaccount:{namespace}:")
        if ours and place and "resource" in place:
            name = "/".join(filter(None, (place["resource"], place.get("subresource"))))
            decision = entry.get("annotations", {}).get("authorization.k8s.io/decision")
            yield Asked(entry["verb"], place.get("apiGroup", ""), name, decision == "allow")


@dataclass(frozen=True)
class Tier:
    """The shared parts; tests keep apart by namespace."""

    cluster: Cluster
    access: Access
    background: Background
    recorder: Recorder
    nodes: Nodes
    folder: Path
    """Where the API server's audit log lies."""

    @contextmanager
    def door(self) -> Iterator[Door]:
        """Open a way through the proxy."""
        door = self.background.run(Door(self.access).open())
        try:
            yield door
        finally:
            self.background.run(door.close())


@contextmanager
def running_tier(cluster: Cluster, folder: Path) -> Iterator[Tier]:
    """Watch and play around an API server until the block ends."""
    access = Access.of(cluster.server.kubeconfig)
    background = Background()

    async def begin() -> tuple[Admin, Recorder, Nodes]:
        admin = Admin(access)
        recorder = Recorder(admin)
        return admin, recorder, Nodes(admin, recorder)

    admin, recorder, nodes = background.run(begin())
    background.spawn(recorder.run())
    try:
        yield Tier(cluster, access, background, recorder, nodes, folder)
    finally:
        background.close(admin.close)
