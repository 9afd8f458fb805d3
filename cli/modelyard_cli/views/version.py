"""The picture of a ModelVersion: what was measured, what it came from, who serves it."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from modelyard.api.gates import OVERALL
from modelyard.api.version import ModelVersion
from modelyard_cli.connection import Raw
from modelyard_cli.objects import version_of
from modelyard_cli.screen import table
from modelyard_cli.state import version_standing
from modelyard_cli.views import parts
from modelyard_cli.words import short_digest


def version_view(raw: Raw, now: datetime) -> RenderableType:
    """Return the picture."""
    found = version_of(raw)
    lines: list[RenderableType] = [
        parts.head("ModelVersion", found.metadata, found.status.phase, now),
        parts.told(version_standing(found)),
        _below(table(("", ""), _facts(found), headed=False)),
        _below(table(("metric", "value", "data"), _metrics(found))),
    ]
    return Group(*lines)


def _below(inner: RenderableType) -> RenderableType:
    return Padding(inner, (1, 0, 0, 2))


def _metrics(found: ModelVersion) -> list[tuple[str | Text, ...]]:
    measured = [m for m in found.spec.metrics if m.slice == OVERALL]
    return [(m.name, Text(m.value, "bold"), m.data_name) for m in measured]


def _facts(found: ModelVersion) -> list[tuple[str | Text, ...]]:
    spec, artifact, lineage = found.spec, found.spec.artifact, found.spec.lineage
    source = spec.source.training
    facts = {
        "digest": artifact.manifest_digest,
        "artifact": f"{artifact.files} files, {artifact.bytes:,} bytes at "
        f"{artifact.store_name}:{artifact.path}",
        "training": f"{source.name}, attempt {source.attempt}",
        "image": lineage.image or "",
        "recipe": f"{short_digest(lineage.recipe_digest)}, seed {lineage.seed}",
        **{
            f"data {data.name}": f"{data.uri}, {data.rows} rows, {short_digest(data.digest)}"
            for data in lineage.datasets
        },
        "served by": ", ".join(found.status.used_by),
    }
    return [(Text(name, "dim"), text) for name, text in facts.items() if text]
