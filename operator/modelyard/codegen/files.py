"""All generated files as text, and how they compare with a checkout."""

from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

import yaml

from modelyard.api.rules import KINDS, Kind
from modelyard.codegen.crd import definition

BANNER = "# Generated from operator/modelyard/api by `make generate`; do not edit.\n"

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
    return {f"crds/{kind.plural}.yaml": _crd(kind) for kind in KINDS}


def _crd(kind: Kind) -> str:
    """Return the CRD of a kind as a file."""
    return BANNER + to_yaml(definition(kind))


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
