"""Schemas without references, and their structural form."""

from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import Field

from modelyard.api.cel import Rule
from modelyard.api.meta import Model
from modelyard.api.rules import KINDS, LIST_KEYS
from modelyard.codegen.crd import object_schema
from modelyard.codegen.schema import MODEL_KEY, plain_schema
from modelyard.codegen.structural import attach, structural


class Colour(StrEnum):
    """A colour."""

    RED = "Red"


class Inner(Model):
    """Something inside."""

    count_of: Annotated[int, Field(ge=1)] = 3
    """How many."""

    note: str | None = None
    """What was said."""


class Outer(Model):
    """Something outside."""

    inner: Inner = Inner()
    """The inside."""

    maybe: Inner | None = None
    """Perhaps another."""

    colours: Annotated[tuple[Colour, ...], Field(max_length=2)] = ()
    """What it may look like."""

    either: int


def test_references_are_resolved_and_the_field_says_more_than_its_type():
    plain = plain_schema(Outer)
    assert plain["properties"]["inner"]["description"] == "The inside."
    assert plain["properties"]["maybe"]["properties"]["countOf"]["minimum"] == 1
    assert plain["properties"]["maybe"][MODEL_KEY] == "Inner"
    assert plain["properties"]["colours"]["items"]["enum"] == ["Red"]
    assert "$ref" not in str(plain)
    assert "anyOf" not in str(plain)
    assert plain["required"] == ["either"]


def test_a_union_of_two_types_is_refused():
    class Ambiguous(Model):
        field: int | str

    with pytest.raises(ValueError, match="split the field"):
        plain_schema(Ambiguous)


def test_a_spec_has_defaults_in_full_and_a_status_has_none():
    plain = plain_schema(Outer)
    spec = structural(plain, defaults=True)["properties"]
    assert spec["inner"]["default"] == {"countOf": 3}
    assert spec["inner"]["properties"]["countOf"]["default"] == 3
    assert spec["inner"]["properties"]["countOf"]["description"] == "How many. Default: 3."
    assert "default" not in spec["maybe"]
    assert "default" not in spec["colours"]
    assert "default" not in str(structural(plain, defaults=False))


def test_integers_have_64_bits_and_unknown_fields_are_the_servers_business():
    spec = structural(plain_schema(Outer), defaults=True)
    assert spec["properties"]["either"] == {"type": "integer", "format": "int64"}
    assert "additionalProperties" not in spec
    assert spec["properties"]["colours"]["x-kubernetes-list-type"] == "atomic"


def test_rules_are_attached_where_their_path_leads():
    schema = structural(plain_schema(Outer), defaults=True)
    attach(schema, (Rule("inner.countOf", "self > 0", "m", computed="'c'"), Rule("", "true", "r")))
    assert schema["properties"]["inner"]["properties"]["countOf"]["x-kubernetes-validations"] == [
        {"rule": "self > 0", "message": "m", "messageExpression": "'c'"}
    ]
    assert schema["x-kubernetes-validations"] == [{"rule": "true", "message": "r"}]


def test_a_rule_about_no_field_is_an_error():
    with pytest.raises(KeyError, match="other"):
        attach(structural(plain_schema(Outer), defaults=True), (Rule("inner.other", "true", "m"),))


def _nodes(schema, path=""):
    """Yield every node of a structural schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key], f"{path}[]")


NODES = [
    (kind.name + path, node)
    for kind in KINDS
    for part in ("spec", "status")
    for path, node in _nodes(object_schema(kind)["properties"][part], f".{part}")
]


def _bounded(node):
    """Whether a value of this schema has a largest size."""
    match node["type"]:
        case "string":
            return "maxLength" in node or "enum" in node
        case "array":
            return "maxItems" in node
        case "object":
            return "maxProperties" in node or "properties" in node
        case "integer" | "boolean":
            return True


def test_every_field_is_bounded():
    assert [path for path, node in NODES if not _bounded(node)] == []


def test_every_field_is_explained():
    unexplained = [path for path, node in NODES if not node.get("description", "").endswith(".")]
    assert [path for path in unexplained if not path.endswith("[]")] == []


def test_lists_of_named_objects_merge_by_key():
    named = {
        path: node.get("x-kubernetes-list-map-keys")
        for path, node in NODES
        if "name" in node.get("items", {}).get("properties", {})
        and not path.endswith("parentRefs")  # replaced whole, as the Gateway API has it
    }
    assert named["ModelVersion.spec.metrics"] == ["name", "dataName", "slice"]
    assert [path for path, keys in named.items() if not keys] == []


def test_every_list_key_belongs_to_a_model():
    from modelyard.api import meta, rollout, rollout_gates, traffic, training, version

    modules = (meta, training, version, rollout, rollout_gates, traffic)
    models = {name: value for module in modules for name, value in vars(module).items()}
    for name, keys in LIST_KEYS.items():
        fields = plain_schema(models[name])["properties"]
        assert set(keys) <= set(fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_message_names_a_field_and_a_remedy(kind):
    for rule in kind.rules:
        assert rule.message.startswith(("spec", "metadata.name"))
        assert ":" in rule.message or "must" in rule.message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_and_selectable_fields_exist(kind):
    schema = object_schema(kind)["properties"]
    paths = [column.path for column in kind.columns] + list(kind.selectable_fields)
    for path in paths:
        node = {"properties": schema}
        for step in path.removeprefix(".").split("[")[0].split("."):
            if step == "metadata":
                break
            node = node["properties"][step]
