"""`get` and `status`: show an object, and wait for it."""

from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.kinds import Kind
from modelyard_cli.options import Format
from modelyard_cli.state import Standing
from modelyard_cli.watching import concluded, follow, look


async def get(api: Api, words: list[str], watch: bool, form: Format) -> Exit:
    """Show an object with its children; with `watch`, until somebody ends it."""
    if watch and form is not Format.TABLE:
        raise Stop(Exit.USAGE, f"--watch draws a picture, and no {form}", "leave one of them out")
    subject = await kinds.find(api, words)
    if watch:
        await follow(api, subject, lambda _: False)
    elif form is Format.TABLE:
        await look(api, subject)
    elif form is Format.NAME:
        print(f"{subject.kind.name.lower()}.modelyard.dev/{subject.name}")
    else:
        screen.dump(screen.without_noise(subject.raw), form)
    return Exit.REACHED


async def status(
    api: Api, words: list[str], seconds: float | None, through_pauses: bool, only: Kind | None
) -> Exit:
    """Wait until an object is what its spec asks for; the exit code tells how that ended."""
    subject = await kinds.find(api, words, only)

    def ends(standing: Standing) -> bool:
        if standing.exit is Exit.NEEDS_PERSON:
            return not through_pauses
        return standing.exit is not None

    return concluded(await follow(api, subject, ends, seconds))
