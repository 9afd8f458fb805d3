"""Read a Containerfile for the files it takes from its build context. Pure."""

import json
import re
import shlex
from collections.abc import Iterator

CONTINUATION = re.compile(r"\\\s*\n")
BIND = re.compile(r"--mount=type=bind,(\S+)")


def copied_sources(text: str) -> list[str]:
    """Return the paths (or glob patterns) that COPY, ADD and bind mounts take from the context.

    Sources of other stages or images (`--from=`, `from=`) and web addresses are left out.
    """
    found: list[str] = []
    for instruction, rest in _instructions(text):
        if instruction in {"COPY", "ADD"}:
            found += _copy_sources(rest)
        elif instruction == "RUN":
            found += _bind_sources(rest)
    return found


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in CONTINUATION.sub(" ", "\n".join(lines) + "\n").splitlines():
        if line.strip():
            instruction, _, rest = line.strip().partition(" ")
            yield instruction.upper(), rest.strip()


def _copy_sources(rest: str) -> list[str]:
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    if any(flag.startswith("--from=") for flag in flags):
        return []
    while rest.startswith("--"):
        rest = rest.partition(" ")[2].lstrip()
    paths = json.loads(rest) if rest.startswith("[") else shlex.split(rest)
    return [path for path in paths[:-1] if "://" not in path]


def _bind_sources(rest: str) -> list[str]:
    found = []
    for options in BIND.findall(rest):
        settings = dict(option.partition("=")[::2] for option in options.split(","))
        if "from" not in settings and (source := settings.get("source") or settings.get("src")):
            found.append(source)
    return found
