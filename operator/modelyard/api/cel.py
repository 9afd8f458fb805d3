"""A rule that the API server checks, in its Common Expression Language."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule; the message names the field and says what to do."""

    path: str
    """Dotted path of the value that is `self`; `[]` steps into a list, empty is the object."""

    expression: str
    message: str

    computed: str = ""
    """CEL expression for a message that quotes values; `message` stands in if it fails."""


def listed(names: tuple[str, ...]) -> str:
    """Return names as a CEL list."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"
