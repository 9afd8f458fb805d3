"""`compare`: two versions side by side: measurements, bytes, recipe, data, libraries."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.text import Text

from modelyard.api.gates import OVERALL
from modelyard.api.measures import LOSSES
from modelyard.api.rules import MODEL_VERSION, TRAINING
from modelyard.api.version import ModelVersion
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw, Refusal
from modelyard_cli.exits import Exit
from modelyard_cli.objects import version_of
from modelyard_cli.options import Format
from modelyard_cli.words import short_digest

ABSENT = "-"
SLICE = "slice"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that both versions have, or that one lacks."""

    group: str
    name: str
    old: str
    new: str
    delta: str = ""
    better: bool | None = None
    """Whether the second is better; None where that makes no sense, or they are equal."""


async def compare(api: Api, first: str, second: str, everything: bool, form: Format) -> Exit:
    """Print how two versions differ; with `everything`, also where they do not."""
    olds, news = await asyncio.gather(_known(api, first), _known(api, second))
    rows = [row for row in rows_of(olds, news) if everything or _worth(row)]
    if form in {Format.JSON, Format.YAML}:
        found = [
            {"group": r.group, "name": r.name, first: r.old, second: r.new, "delta": r.delta}
            for r in rows
        ]
        screen.dump(found, form)
        return Exit.REACHED
    heads = ("", "", first, second, "difference")
    screen.show(screen.table(heads, _lines(rows)))
    return Exit.REACHED


def _worth(row: Row) -> bool:
    """Tell whether a row is shown unasked; of the parts of the data those that got worse."""
    if row.group == SLICE:
        return row.better is False or ABSENT in (row.old, row.new)
    return row.group == "metric" or row.old != row.new or row.name == "digest"


@dataclass(frozen=True, slots=True)
class Known:
    """A version, and the training that it came from if that still exists."""

    version: ModelVersion
    recipe: Raw


async def _known(api: Api, name: str) -> Known:
    version = version_of((await kinds.fetch(api, MODEL_VERSION, name)).raw)
    source = version.spec.source.training
    try:
        raw = await api.get(kinds.path_of(TRAINING, api.namespace, source.name))
    except Refusal as refusal:
        if not (refusal.missing or refusal.forbidden):
            raise
        return Known(version, {})
    same = raw["metadata"]["uid"] == source.uid
    return Known(version, raw["spec"].get("recipe", {}) if same else {})


def rows_of(old: Known, new: Known) -> Iterator[Row]:
    """Yield everything that can be compared, in the order people ask for it."""
    yield from _metrics(old.version, new.version)
    for group, ours, theirs in (
        ("artifact", _artifact(old.version), _artifact(new.version)),
        ("recipe", dict(flat(old.recipe)), dict(flat(new.recipe))),
        ("data", _data(old.version), _data(new.version)),
        ("environment", _environment(old.version), _environment(new.version)),
    ):
        for name in dict.fromkeys((*ours, *theirs)):
            yield Row(group, name, ours.get(name, ABSENT), theirs.get(name, ABSENT))


def _metrics(old: ModelVersion, new: ModelVersion) -> Iterator[Row]:
    ours, theirs = _measured(old), _measured(new)
    for key in dict.fromkeys((*ours, *theirs)):
        whole = key[1] == OVERALL
        group, name = ("metric", key[0]) if whole else (SLICE, f"{key[0]} {key[1]}")
        if key not in ours or key not in theirs:
            yield Row(group, name, ours.get(key, ABSENT), theirs.get(key, ABSENT))
            continue
        delta = Decimal(theirs[key]) - Decimal(ours[key])
        better = None if not delta else (delta > 0) != (key[0] in LOSSES)
        yield Row(group, name, ours[key], theirs[key], f"{delta:+f}" if delta else "=", better)


def _measured(version: ModelVersion) -> dict[tuple[str, str], str]:
    return {(m.name, m.slice): m.value for m in version.spec.metrics}


def _artifact(version: ModelVersion) -> dict[str, str]:
    artifact = version.spec.artifact
    signatures = {
        f"signature {s.name}": ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in s.inputs)
        + " → "
        + ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in s.outputs)
        for s in version.spec.signatures
    }
    digest = {"digest": short_digest(artifact.manifest_digest)}
    return {**digest, "bytes": f"{artifact.bytes:,}", "files": str(artifact.files), **signatures}


def _data(version: ModelVersion) -> dict[str, str]:
    found = version.spec.lineage.datasets
    return {d.name: f"{d.rows} rows {short_digest(d.digest)}" for d in found}


def _environment(version: ModelVersion) -> dict[str, str]:
    lineage = version.spec.lineage
    own = {"seed": str(lineage.seed), "recipe digest": short_digest(lineage.recipe_digest)}
    placed = {"image": lineage.image, "node": lineage.node_name}
    known = {name: text for name, text in placed.items() if text}
    return {**own, **known, **lineage.environment}


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested objects with their paths.

    >>> list(flat({"optimizer": {"name": "Adam"}, "units": [32, 16]}))
    [('optimizer.name', 'Adam'), ('units', '32, 16')]
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for number, entry in enumerate(value):
            yield from flat(entry, f"{path}[{number}]")
    else:
        yield path, _leaf(value)


def _leaf(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _lines(rows: list[Row]) -> Iterator[tuple[str | Text, ...]]:
    """Yield table rows; the name of a group stands at its first."""
    group = ""
    for row in rows:
        first, group = ("" if row.group == group else row.group), row.group
        style = {True: "green", False: "red", None: "dim"}[row.better]
        word = {True: "  better", False: "  worse", None: ""}[row.better]
        changed = "" if row.old == row.new else "bold"
        yield (
            Text(first, "dim"),
            row.name,
            row.old,
            Text(row.new, changed),
            Text(row.delta + word, style),
        )
