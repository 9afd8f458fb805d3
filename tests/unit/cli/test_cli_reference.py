"""The reference page has every command, every exit code, and no option without a text."""

from modelyard_cli import reference
from modelyard_cli.exits import Exit

LINES = "\n".join(reference.page()).splitlines()


def test_every_command_has_a_section():
    sections = {line.removeprefix("## ") for line in LINES if line.startswith("## kubectl")}
    listed = {line.split("`")[1] for line in LINES if line.startswith("| [`kubectl")}
    assert sections == listed
    assert {"kubectl modelyard list", "kubectl modelyard rollout promote"} <= sections


def test_every_exit_code_has_a_meaning():
    for code in Exit:
        (row,) = [line for line in LINES if line.startswith(f"| {int(code)} |")]
        assert len(row) > 20


def test_every_option_is_explained():
    rows = [line for line in LINES if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if "None" in row or row.endswith("|  |")]
