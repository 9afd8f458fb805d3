"""The reference page of the command line, made of what stands in `app.py`."""

import inspect
from collections.abc import Iterator

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from modelyard_cli.app import app
from modelyard_cli.exits import Exit
from modelyard_cli.place import PANEL

PROGRAM = "kubectl modelyard"


def page() -> Iterator[str]:
    """Yield the lines of the page, without its title."""
    root = typer.main.get_command(app)
    commands = sorted(_commands(root, PROGRAM))
    yield f"`{PROGRAM}` and `modelyard` are the same program. `uv tool install 'modelyard[cli]'` or"
    yield "`pip install 'modelyard[cli]'` installs it; kubectl finds it on the PATH, and asks it"
    yield "for completion where its own is set up.\n"
    yield "| Command | Does |\n|---|---|"
    for name, command in commands:
        yield f"| [`{name}`](#{_anchor(name)}) | {_summary(command)} |"
    yield "\n## Exit codes\n"
    yield "| Code | Meaning |\n|---|---|"
    for code, meaning in _exit_codes():
        yield f"| {code} | {meaning} |"
    yield "\n## Options of every command that asks the cluster\n"
    yield from _options(command for name, command in commands if name.endswith(" list"))
    for name, command in commands:
        yield from _command(name, command)


def _commands(node: object, name: str) -> Iterator[tuple[str, TyperCommand]]:
    """Yield the commands below a group with their full names."""
    if isinstance(node, TyperGroup):
        for word, child in node.commands.items():
            yield from _commands(child, f"{name} {word}")
    elif isinstance(node, TyperCommand):
        yield name, node


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _summary(command: TyperCommand) -> str:
    return inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def _exit_codes() -> Iterator[tuple[int, str]]:
    """Yield each code with the text that stands below it in the source."""
    lines = inspect.getsource(Exit).splitlines()
    for member in Exit:
        at = next(n for n, line in enumerate(lines) if line.strip().startswith(f"{member.name} ="))
        yield int(member), lines[at + 1].strip().strip('"')


def _options(commands: Iterator[TyperCommand]) -> Iterator[str]:
    """Yield the connection options, which are the same everywhere."""
    command = next(commands)
    yield "| Option | What it is |\n|---|---|"
    yield from (_option(p) for p in command.params if _shared(p) and isinstance(p, TyperOption))


def _shared(parameter: object) -> bool:
    return isinstance(parameter, TyperOption) and parameter.rich_help_panel == PANEL


def _command(name: str, command: TyperCommand) -> Iterator[str]:
    """Yield the section of one command."""
    own = [p for p in command.params if not _shared(p)]
    arguments = [p for p in own if isinstance(p, TyperArgument)]
    words = " ".join(_usage(argument) for argument in arguments)
    yield f"\n## {name}\n"
    yield f"`{' '.join(filter(None, (name, words, '[OPTIONS]')))}`\n"
    yield inspect.cleandoc(command.help or "")
    options = [p for p in own if isinstance(p, TyperOption) and p.name != "help"]
    if not arguments and not options:
        return
    yield "\n| Argument or option | What it is |\n|---|---|"
    for argument in arguments:
        yield f"| `{_escaped(_usage(argument))}` | {argument.help} |"
    yield from map(_option, options)


def _usage(argument: TyperArgument) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: TyperOption) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = f" `{_escaped(option.metavar)}`" if option.metavar else _choices(option)
    return f"| {names}{value} | {option.help}{_default(option)} |"


def _escaped(text: str) -> str:
    """Return a text for the cell of a table."""
    return text.replace("|", "\\|")


def _choices(option: TyperOption) -> str:
    found = option.type_descriptor.choices or ()
    values = "\\|".join(str(getattr(choice, "value", choice)) for choice in found)
    return f" `{values}`" if values else ""


def _default(option: TyperOption) -> str:
    if isinstance(option.show_default, str):
        return f" Default: {option.show_default}."
    chosen = getattr(option.default, "value", "")
    return f" Default: {chosen}." if chosen and option.show_default else ""
