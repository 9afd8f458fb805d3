"""How the programs of a serving pod end early."""

from modelyard.api.run import ExitCode


class Stopped(Exception):  # noqa: N818 - says how a program ended
    """The program cannot go on; its message is one line for the termination message."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
        """65 when only a person can help, 75 when a restart may."""
