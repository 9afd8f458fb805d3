"""All generated files as text, and how they compare with a checkout."""

import json
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

import yaml

from modelyard.api.rules import KINDS
from modelyard.codegen.crd import definition
from modelyard.codegen.reference import pages
from modelyard.codegen.values import values_schema

BANNER = "# Generated from operator/modelyard/api by `make generate`; do not edit.\n"

CHART = "charts/modelyard"

_GUARD = "{{- if .Values.crds.enabled }}\n"

_ANNOTATIONS = """\
  labels: {{- include "modelyard.labels" . | nindent 4 }}
  {{- if or .Values.crds.keep .Values.crds.annotations }}
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .Values.crds.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
"""

Files = Mapping[str, str]
"""Texts by path below the checkout."""


class _Dumper(yaml.SafeDumper):
    """Writes lists indented below their key, and never anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat equal values instead of pointing at the first."""
        del data
        return True


def to_yaml(value: object) -> str:
    """Return readable YAML: insertion order, long lines folded."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def generated() -> Files:
    """Return every generated file."""
    crds = {kind.plural: to_yaml(definition(kind)) for kind in KINDS}
    schema = json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"
    return {
        **{f"crds/{name}.yaml": BANNER + text for name, text in crds.items()},
        **{f"{CHART}/templates/crds/{name}.yaml": _chart_copy(text) for name, text in crds.items()},
        f"{CHART}/values.schema.json": schema,
        **pages(),
    }


def _chart_copy(crd: str) -> str:
    """Return a CRD as a template that `crds.enabled` and `crds.keep` control."""
    if "{{" in crd:
        raise ValueError("a description contains `{{`, which Helm would evaluate: reword it")
    head, metadata, tail = crd.partition("metadata:\n")
    return BANNER + _GUARD + head + metadata + _ANNOTATIONS + tail + "{{- end }}\n"


def write(root: Path, files: Files) -> list[str]:
    """Write the files that differ below `root`; return their paths."""
    changed = [path for path, text in files.items() if _read(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")
    return changed


def outdated(root: Path, files: Files) -> list[str]:
    """Return a unified diff for each file below `root` that differs from its text."""
    return [
        "".join(
            unified_diff(
                _read(root / path).splitlines(keepends=True),
                text.splitlines(keepends=True),
                fromfile=f"a/{path}",
                tofile=f"b/{path}",
            )
        )
        for path, text in files.items()
        if _read(root / path) != text
    ]


def _read(path: Path) -> str:
    """Return the text of a file, empty if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""
