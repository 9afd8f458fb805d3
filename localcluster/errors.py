"""The one error a person can act on."""


class Refused(Exception):  # noqa: N818 - it says what the machine refused, not that we broke
    """Something this machine or the caller must change first.

    Args:
        what: what happened or is missing, in one clause.
        fix: what to do about it, in one clause.
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix
