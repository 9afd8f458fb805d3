"""Structural schemas: the dialect of OpenAPI v3 that a CustomResourceDefinition accepts.

A plain schema becomes structural by leaving out what the API server knows itself (unknown fields
are pruned, or refused under strict validation) and by saying how lists merge. A default that is
an object is written out in full, because the API server judges it by the CEL rules before it
fills in what lies inside.
"""

from collections.abc import Iterator

from modelyard.api.cel import Rule
from modelyard.api.rules import LIST_KEYS
from modelyard.codegen.schema import MODEL_KEY, Schema

_KEPT = (
    "type", "description", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "minItems", "maxItems", "maxProperties", "required", "default",
)  # fmt: skip


def structural(plain: Schema, *, defaults: bool) -> Schema:
    """Return the structural form of a plain schema.

    Args:
        plain: a schema from `plain_schema`.
        defaults: whether the API server fills in defaults: for a spec, not for a status, where
            an absent value means that nobody has written it.
    """
    node = {key: plain[key] for key in _KEPT if key in plain}
    node.pop("default", None)
    if defaults and (default := _default(plain)) is not None:
        node["default"] = default
        node["description"] = _with_default(plain.get("description", ""), default)
    if node.get("type") == "integer":
        node["format"] = "int64"
    if "properties" in plain:
        node["properties"] = {
            name: structural(child, defaults=defaults)
            for name, child in plain["properties"].items()
        }
    if isinstance(plain.get("additionalProperties"), dict):
        node["additionalProperties"] = structural(plain["additionalProperties"], defaults=defaults)
    if "items" in plain:
        node |= _list(plain["items"], defaults=defaults)
    return node


def _default(plain: Schema) -> object:
    """Return the default to write, or None: nothing for empty lists and maps, nor for null."""
    default = _without_empty(plain.get("default"))
    return {} if "properties" in plain and default is None and "default" in plain else default


def _with_default(description: str, default: object) -> str:
    """Return the description with a scalar default, which `kubectl explain` does not show."""
    return description if isinstance(default, dict) else f"{description} Default: {default}."


def _without_empty(value: object) -> object:
    """Return `value` without nulls and without empty lists and maps, None if nothing is left."""
    if not isinstance(value, dict):
        return value or None if isinstance(value, list) else value
    kept = {key: _without_empty(child) for key, child in value.items()}
    return {key: child for key, child in kept.items() if child is not None} or None


def _list(items: Schema, *, defaults: bool) -> Schema:
    """Return what the schema of a list adds: its items and how it merges."""
    node: Schema = {"items": structural(items, defaults=defaults)}
    keys = LIST_KEYS.get(items.get(MODEL_KEY, ""))
    if keys is None:
        return node | {"x-kubernetes-list-type": "atomic"}
    # A key must be required or have a default, also where defaults are left out elsewhere.
    for key in set(keys) - set(items.get("required", ())):
        node["items"]["properties"][key]["default"] = items["properties"][key]["default"]
    return node | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def attach(root: Schema, rules: tuple[Rule, ...]) -> None:
    """Add CEL rules to the nodes they speak of.

    Raises:
        KeyError: a rule's path names no field.
    """
    for rule in rules:
        node = root
        for step in _steps(rule.path):
            node = node["items"] if step == "[]" else node["properties"][step]
        entry = {"rule": rule.expression, "message": rule.message}
        if rule.computed:
            entry["messageExpression"] = rule.computed
        node.setdefault("x-kubernetes-validations", []).append(entry)


def _steps(path: str) -> Iterator[str]:
    """Split `spec.data[]` into spec, data and []."""
    for part in filter(None, path.split(".")):
        yield part.removesuffix("[]")
        if part.endswith("[]"):
            yield "[]"
