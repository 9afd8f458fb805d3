"""CustomResourceDefinitions, one per kind."""

from typing import Any

from modelyard.api.names import GROUP, VERSION
from modelyard.api.rules import Column, Kind
from modelyard.codegen.schema import Schema, plain_schema
from modelyard.codegen.structural import attach, structural

CATEGORY = "modelyard"

_API_VERSION = "The version of this kind's schema: {group}/{version}."
_KIND = "The kind of this object: {kind}."


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind` as plain JSON."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": _names(kind),
            "versions": [_version(kind)],
        },
    }


def _names(kind: Kind) -> dict[str, Any]:
    """Return every way to spell the kind."""
    return {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "shortNames": [kind.short_name],
        "categories": [CATEGORY],
    }


def _version(kind: Kind) -> dict[str, Any]:
    """Return the one version, served and stored."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": object_schema(kind)},
        "subresources": _subresources(kind),
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable_fields]
    return version


def object_schema(kind: Kind) -> Schema:
    """Return the structural schema of the whole object, with its rules."""
    plain = plain_schema(kind.model)
    fields = plain["properties"]
    root: Schema = {
        "type": "object",
        "description": plain["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": _text(_API_VERSION.format(group=GROUP, version=VERSION)),
            "kind": _text(_KIND.format(kind=kind.name)),
            # The bound is Kubernetes' own; stated, it bounds the cost of rules about the name.
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 253}},
            },
            "spec": structural(fields["spec"], defaults=True),
            "status": structural(fields["status"], defaults=False),
        },
    }
    attach(root, kind.rules)
    return root


def _text(description: str) -> Schema:
    """Return the schema of a described string."""
    return {"type": "string", "description": description}


def _subresources(kind: Kind) -> dict[str, Any]:
    """Return the status subresource, and scale where the kind has replicas."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return subresources


def _column(column: Column) -> dict[str, Any]:
    """Return one printer column."""
    return {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
        "priority": int(column.wide),
    }
