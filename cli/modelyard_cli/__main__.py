"""Entry of `kubectl-modelyard`, `modelyard` and `python -m modelyard_cli`."""

import sys
from pathlib import Path

from modelyard_cli.app import app
from modelyard_cli.completion import prepare


def main() -> None:
    """Run the command line; never returns."""
    prepare()
    app(prog_name=spoken_name(sys.argv[0]))


def spoken_name(program: str) -> str:
    """Return how the user calls us: kubectl runs its plugins by a longer name.

    >>> spoken_name("/usr/bin/kubectl-modelyard"), spoken_name("bin/modelyard")
    ('kubectl modelyard', 'modelyard')
    """
    return "kubectl modelyard" if Path(program).name.startswith("kubectl") else "modelyard"


if __name__ == "__main__":
    main()
