"""Names of objects for completion."""

import asyncio
from collections.abc import Mapping
from typing import Any

from modelyard_cli import kinds
from modelyard_cli.connection import Api, connected
from modelyard_cli.kinds import Kind
from modelyard_cli.place import Place

Candidate = tuple[str, str]


async def found_names(
    given: Mapping[str, Any], words: tuple[str, ...], incomplete: str, seconds: float
) -> list[Candidate]:
    """Return names with their phase, for what is typed so far.

    Args:
        given: the options on the command line.
        words: kinds to look in.
        incomplete: the word under the cursor.
        seconds: longest time it may take.
    """
    place = Place(
        namespace=given.get("namespace") or "",
        context=given.get("context") or "",
        kubeconfig=given.get("kubeconfig"),
        as_user=given.get("as_user") or "",
    )
    async with asyncio.timeout(seconds), connected(place) as api:
        found = await asyncio.gather(*(_names(api, kinds.kind_of(word)) for word in words))
    candidates = list[Candidate]()
    for word, names in zip(words, found, strict=True):
        prefix = f"{word}/" if len(words) > 1 else ""
        candidates += [(prefix + name, phase) for name, phase in names]
    return [(name, phase) for name, phase in candidates if name.startswith(incomplete)]


async def _names(api: Api, kind: Kind) -> list[Candidate]:
    listed = await api.get(kinds.path_of(kind, api.namespace))
    return [
        (raw["metadata"]["name"], str((raw.get("status") or {}).get("phase", "")))
        for raw in listed["items"]
    ]
