"""Pydantic's JSON schema, made self-contained: no `$ref`, no `anyOf` with null, no titles."""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

MODEL_KEY = "x-model"
"""Key under which a schema keeps the name of its model, until a consumer removes it."""

_NOISE = ("title", "$defs")


def plain_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of `model` with every reference resolved.

    Optional fields are simply not required: an absent field and a null one mean the same.

    Raises:
        ValueError: a field is a union of several types, which no structural schema can say.
    """
    raw = model.model_json_schema(by_alias=True)
    return {**_resolve(raw, raw.get("$defs", {})), MODEL_KEY: model.__name__}


def _resolve(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return `node` without references, nulls and titles, down to its leaves."""
    node = _dereference(_without_null(node), definitions)
    resolved = {key: value for key, value in node.items() if key not in _NOISE}
    if "properties" in node:
        resolved["properties"] = {
            name: _resolve(child, definitions) for name, child in node["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            resolved[key] = _resolve(node[key], definitions)
    return resolved


def _dereference(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace a reference by its target; what stands beside the reference wins."""
    if "$ref" not in node:
        return node
    name = node["$ref"].rsplit("/", 1)[-1]
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**definitions[name], MODEL_KEY: name, **beside}


def _without_null(node: Schema) -> Schema:
    """Turn `anyOf: [X, null]` into X, and drop the default null."""
    if "anyOf" not in node:
        return node
    choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    if len(choices) != 1:
        raise ValueError(f"expected one type beside null, got {node['anyOf']}: split the field")
    beside = {k: v for k, v in node.items() if k != "anyOf" and not (k == "default" and v is None)}
    return {**choices[0], **beside}
