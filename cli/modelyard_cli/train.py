"""`train`: create a ModelTraining from a file, and watch it to its end."""

import asyncio
import sys
from pathlib import Path

import yaml

from modelyard.api.names import API_VERSION
from modelyard.api.rules import TRAINING
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.kinds import Subject
from modelyard_cli.watching import concluded, follow

STANDARD_INPUT = Path("-")


async def train(api: Api, manifest: Raw, dry_run: bool, watch: bool, seconds: float | None) -> Exit:
    """Create a training; with `watch`, the exit code tells how it ended."""
    meta = manifest["metadata"]
    namespace = meta.get("namespace") or api.namespace
    try:
        made = await api.write("POST", kinds.path_of(TRAINING, namespace), manifest, dry_run)
    except Refusal as refusal:
        if refusal.reason != "AlreadyExists":
            raise
        text = f"training {meta.get('name')} exists already, and it is the record of one run"
        raise Stop(Exit.WRONG_STATE, text, "choose another name: --name NAME") from None
    subject = Subject(TRAINING, made["metadata"]["name"], made)
    mark = " (server dry run)" if dry_run else ""
    screen.tell(f"training/{subject.name} created{mark}")
    if dry_run or not watch:
        return Exit.REACHED
    api.namespace = namespace
    try:
        return concluded(await follow(api, subject, lambda s: s.exit is not None, seconds))
    except asyncio.CancelledError:
        screen.note(f"it goes on: kubectl modelyard get training/{subject.name} --watch")
        raise


def manifest_in(path: Path, name: str) -> Raw:
    """Read the one ModelTraining of a file, under another name if one is given.

    Raises:
        Stop: the file cannot be read, or holds something else.
    """
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else path.read_text()
        found = [document for document in yaml.safe_load_all(text) if document]
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error}") from None
    wanted = {"apiVersion": API_VERSION, "kind": TRAINING.name}
    if len(found) != 1 or not isinstance(found[0], dict):
        text = f"{path} holds {len(found)} objects, and one {TRAINING.name} is expected"
        raise Stop(Exit.USAGE, text, "put it in a file of its own")
    kind = {key: found[0].get(key) for key in wanted}
    if kind != wanted:
        text = f"{path} holds a {kind['kind']} of {kind['apiVersion']}"
        raise Stop(Exit.USAGE, text, f"a {TRAINING.name} of {API_VERSION} is expected")
    meta = {**(found[0].get("metadata") or {}), **({"name": name} if name else {})}
    return {**found[0], "metadata": meta}
