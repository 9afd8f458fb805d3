"""Branch coverage of the planners, on demand: every conditional jump, both ways.

Counted on bytecode, so that `a or b` and each case of a `match` are branches of their own.
"""

import dis
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import modelyard.plan

FOLDER = str(Path(modelyard.plan.__file__).parent)
Way = tuple[CodeType, int, int]
"""Code, offset of the jump, offset that came next."""


@dataclass
class Branches:
    """Traces the planners while it is entered."""

    codes: set[CodeType] = field(default_factory=set)
    taken: set[Way] = field(default_factory=set)

    def __enter__(self) -> "Branches":
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.codes.add(frame.f_code)
        last = [-1]

        def step(inner: FrameType, what: str, _: Any) -> Any:
            if what == "opcode":
                self.taken.add((inner.f_code, last[0], inner.f_lasti))
                last[0] = inner.f_lasti
            return step

        return step

    def missing(self) -> list[tuple[str, int]]:
        """Return file and line of every way that was never taken, sorted."""
        ways = set(self._ways())
        return sorted({(Path(c.co_filename).name, _line(c, at)) for c, at, to in ways - self.taken})

    def share(self) -> float:
        """Return the share of ways that were taken."""
        ways = set(self._ways())
        return len(ways & self.taken) / len(ways)

    def _ways(self) -> Iterator[Way]:
        for code in self.codes:
            instructions = list(dis.get_instructions(code))
            for this, following in pairwise(instructions):
                if "JUMP" in this.opname and "_IF_" in this.opname:
                    yield code, this.offset, following.offset
                    yield code, this.offset, this.argval


def _line(code: CodeType, offset: int) -> int:
    lines = (line for start, end, line in code.co_lines() if start <= offset < end)
    return next(lines, None) or code.co_firstlineno
