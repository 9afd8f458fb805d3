"""Branch coverage of the planners, on demand: every conditional jump, both ways.

Counted on bytecode, so that `a or b` is a branch of its own, and over all functions of the package,
so that one that is never called counts as never taken. A function is traced only until all its ways
were taken: that makes the price bearable.
"""

import dis
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import modelyard.plan

FOLDER = Path(modelyard.plan.__file__).parent
MATHEMATICS = {"statistics", "judge"}
"""Formulas that decide nothing by themselves: compared with exact values and judged by whole
rollouts elsewhere."""
Place = tuple[str, str, int]
"""File, qualified name and first line of a function."""
Way = tuple[Place, int, int]
"""Function, offset of a jump in it, offset that comes next."""


def functions() -> Iterator[CodeType]:
    """Yield the code of every function of the planners, nested ones included."""
    for file in sorted(FOLDER.rglob("*.py")):
        if file.parent.name in MATHEMATICS:
            continue
        yield from _functions(compile(file.read_text(), str(file), "exec"))


def _functions(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_flags & inspect.CO_OPTIMIZED:  # neither a module nor the body of a class
                yield inner
            yield from _functions(inner)


def place_of(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def ways_of(code: CodeType) -> Iterator[Way]:
    instructions = list(dis.get_instructions(code))
    for before, this, following in zip(
        instructions, instructions[1:], instructions[2:], strict=False
    ):
        asks = "JUMP" in this.opname and "_IF_" in this.opname
        if asks and before.opname != "CHECK_EXC_MATCH":  # another exception is no decision
            yield place_of(code), this.offset, following.offset
            yield place_of(code), this.offset, this.argval


class Branches:
    """Traces the planners while it is entered."""

    def __init__(self) -> None:
        self.codes = {place_of(code): code for code in functions()}
        self.ways = frozenset(way for code in self.codes.values() for way in ways_of(code))
        self.taken: set[Way] = set()
        self._open: dict[Place, set[tuple[int, int]]] = defaultdict(set)
        self._seen: dict[int, tuple[CodeType, Place]] = {}
        """By identity, which is cheaper than equality; the code itself is kept, so that no other
        gets its identity."""
        for place, at, to in self.ways:
            self._open[place].add((at, to))

    def __enter__(self) -> "Branches":
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def add(self, taken: set[Way]) -> None:
        """Take over what another process has seen."""
        self.taken |= taken
        for place, at, to in taken:
            self._open[place].discard((at, to))

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        known = self._seen.get(id(code))
        if known is None:
            known = self._seen[id(code)] = code, place_of(code)
        place = known[1]
        ways = self._open.get(place)
        if not ways:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        last = -1

        def step(inner: FrameType, what: str, _: Any) -> Any:
            nonlocal last
            if what == "opcode":
                if (last, inner.f_lasti) in ways:
                    self.add({(place, last, inner.f_lasti)})
                last = inner.f_lasti
            return step

        return step

    def share(self) -> float:
        """Return the share of ways that were taken."""
        return len(self.taken) / len(self.ways)

    def missing(self) -> list[str]:
        """Return file, lines of jump and target, of every way that was never taken, sorted."""
        return sorted({self._described(way) for way in self.ways - self.taken})

    def _described(self, way: Way) -> str:
        place, at, to = way
        code = self.codes[place]
        name = Path(code.co_filename).relative_to(FOLDER)
        return f"{name}:{_line(code, at)} -> {_line(code, to)} ({code.co_name})"


def _line(code: CodeType, offset: int) -> int:
    lines = (line for start, end, line in code.co_lines() if start <= offset < end)
    return next(lines, None) or code.co_firstlineno
