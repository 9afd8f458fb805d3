"""Reference pages in Markdown, from the same models as the CRDs."""

from collections.abc import Iterator
from enum import IntEnum
from itertools import chain

from pydantic import BaseModel

from modelyard.api.config import OperatorConfig
from modelyard.api.manifest import Manifest
from modelyard.api.measures import METRICS
from modelyard.api.names import API_VERSION
from modelyard.api.rules import KINDS, Column, Kind
from modelyard.api.run import ExitCode, ProgressReport, RunConfig, RunResult
from modelyard.api.serve import ServeConfig
from modelyard.codegen.schema import Schema, plain_schema
from modelyard.codegen.values import values_schema
from modelyard_cli import reference

BANNER = "<!-- Generated from {} by `make generate`; do not edit. -->\n"

_BOUNDS = (
    ("minimum", "≥ {}"), ("maximum", "≤ {}"), ("minLength", "length ≥ {}"),
    ("maxLength", "length ≤ {}"), ("minItems", "items ≥ {}"), ("maxItems", "items ≤ {}"),
    ("maxProperties", "entries ≤ {}"),
)  # fmt: skip


def pages() -> dict[str, str]:
    """Return every reference page by its path below the checkout."""
    texts = {
        "api": _page("The API", _api()),
        "config": _page("The operator's configuration file", _config()),
        "values": _page("Values of the Helm chart", _table(values_schema())),
        "run-contract": _page("The run contract", _run_contract()),
        "cli": _page("The command line", reference.page(), "cli/modelyard_cli"),
    }
    return {f"docs/reference/{name}.md": text for name, text in texts.items()}


def _page(title: str, lines: Iterator[str], source: str = "operator/modelyard") -> str:
    """Return a page of paragraphs and tables."""
    return "\n".join([BANNER.format(source), f"# {title}", "", *lines]).rstrip() + "\n"


def _api() -> Iterator[str]:
    """Yield the three kinds."""
    yield f"Three kinds in `{API_VERSION}`; `kubectl explain` tells the same."
    yield f"Metrics of a classification: {', '.join(f'`{metric}`' for metric in METRICS)}."
    for kind in KINDS:
        yield from _kind(kind)


def _kind(kind: Kind) -> Iterator[str]:
    """Yield one kind: fields, rules, columns."""
    plain = plain_schema(kind.model)
    yield f"\n## {kind.name}\n"
    yield f"{plain['description']} Short name `{kind.short_name}`, plural `{kind.plural}`."
    for part in ("spec", "status"):
        yield f"\n### {kind.name} {part}\n"
        yield from _table(plain["properties"][part], part)
    yield f"\n### {kind.name} rules\n"
    yield "What the API server refuses beyond types and bounds:\n"
    yield from (f"- {rule.message}." for rule in kind.rules)
    yield f"\n### {kind.name} columns\n"
    yield "| Column | Shows | Source |\n|---|---|---|"
    yield from map(_column, kind.columns)


def _column(column: Column) -> str:
    """Return the row of a column."""
    wide = " (only `-o wide`)" if column.wide else ""
    return f"| {column.name.upper()} | {column.description}{wide} | `{column.path}` |"


def _config() -> Iterator[str]:
    """Yield the configuration file."""
    yield "Read from `/etc/modelyard/config.yaml`, or the file that `MODELYARD_CONFIG` names. The"
    yield "chart writes it from its values: `stores` and `images` from the values of that name,"
    yield "all else from `config`.\n"
    yield from _table(plain_schema(OperatorConfig))


def _run_contract() -> Iterator[str]:
    """Yield what a trainer and a serving pod are told, and what they answer."""
    parts: tuple[tuple[str, type[BaseModel]], ...] = (
        ("`MODELYARD_RUN`: what a trainer is told", RunConfig),
        ("`GET /progress`: what it answers while it runs", ProgressReport),
        ("`/dev/termination-log`: how it ended", RunResult),
        ("The manifest: what it publishes", Manifest),
        ("`MODELYARD_SERVE`: what fetcher and sentinel are told", ServeConfig),
    )
    yield "Each is one JSON object. A trainer needs no access to the Kubernetes API."
    for title, model in parts:
        yield f"\n## {title}\n"
        yield from _table(plain_schema(model))
    yield "\n## Exit codes of a trainer\n"
    yield "| Code | Meaning | Tried again |\n|---|---|---|"
    yield from map(_exit_code, ExitCode)


def _exit_code(code: IntEnum) -> str:
    """Return the row of an exit code."""
    meaning = code.name.replace("_", " ").lower()
    again = "no" if code in _FINAL else "yes"
    return f"| {int(code)} | {meaning} | {again} |"


_FINAL = frozenset(code for code in ExitCode if code.permanent or code == ExitCode.DONE)


def _table(schema: Schema, prefix: str = "") -> Iterator[str]:
    """Yield the fields below an object as table rows."""
    yield "| Field | Type | Default | What it is |\n|---|---|---|---|"
    yield from _rows(schema, prefix)


def _rows(schema: Schema, prefix: str) -> Iterator[str]:
    """Yield a row for each field, and for each field inside it."""
    required = set(schema.get("required", ()))
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        cells = (
            f"`{path}`", _type(child), _default(child, name in required), _meaning(child)
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
        yield from chain(_rows(child, path), _rows(child.get("items", {}), f"{path}[]"))


def _type(schema: Schema) -> str:
    """Return the type of a field in words."""
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))


def _default(schema: Schema, required: bool) -> str:
    """Return the default of a scalar, or that the field is required."""
    default = schema.get("default")
    if required:
        return "**required**"
    return f"`{default}`" if isinstance(default, str | int | float) and default != "" else ""


def _meaning(schema: Schema) -> str:
    """Return description and bounds in one line."""
    description = " ".join(schema.get("description", "").split())
    bounds = [text.format(schema[key]) for key, text in _BOUNDS if key in schema]
    choices = schema.get("enum", ())
    if choices:
        bounds.append("one of " + ", ".join(f"`{choice}`" for choice in choices))
    sentence = f"{description} ({'; '.join(bounds)})" if bounds else description
    return sentence.replace("|", "\\|")
