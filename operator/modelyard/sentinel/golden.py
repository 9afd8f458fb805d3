"""Golden predictions: recorded at export, to be reproduced by the server before it gets traffic.

A server that loads a model can still answer wrongly: another library version, a broken kernel, a
batching setting that pads. So each recorded sample is asked again and compared within a tolerance.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field, JsonValue

from modelyard.api.meta import Observed

MAX_SHOWN = 60
"""Characters of a value that a message shows."""


class Tolerance(Observed):
    """How far a number may be off: `|got - expected| <= absolute + relative * |expected|`."""

    absolute: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    relative: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3

    def holds(self, expected: float, got: float) -> bool:
        """Tell whether `got` is close enough; NaN only equals NaN, infinity only itself."""
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        if math.isinf(expected) or math.isinf(got):
            return expected == got
        return abs(got - expected) <= self.absolute + self.relative * abs(expected)


class GoldenSample(Observed):
    """One recorded prediction, with its batch dimension of 1."""

    inputs: Annotated[dict[str, JsonValue], Field(min_length=1)]
    outputs: Annotated[dict[str, JsonValue], Field(min_length=1)]


class GoldenFile(Observed):
    """The content of `assets.extra/golden.json`."""

    signature: Annotated[str, Field(min_length=1, max_length=128)] = "serving_default"
    tolerance: Tolerance = Tolerance()
    samples: Annotated[tuple[GoldenSample, ...], Field(min_length=1, max_length=16)]


def named_outputs(reply: JsonValue, expected: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the outputs of a column-format reply by name.

    The model server leaves the name out when a signature has a single output.
    """
    if isinstance(reply, dict) and reply.keys() != {"b64"}:
        return reply
    return {next(iter(expected)): reply} if len(expected) == 1 else {"": reply}


def mismatch(sample: GoldenSample, reply: JsonValue, tolerance: Tolerance) -> str | None:
    """Return the first difference between a reply and its record in words, or None.

    Whole shapes are compared before values: a message about one index would hide a wrong batch.
    """
    outputs = named_outputs(reply, sample.outputs)
    if outputs.keys() != sample.outputs.keys():
        return f"expected the outputs {_names(sample.outputs)}, got {_names(outputs)}"
    for name, expected in sample.outputs.items():
        got = outputs[name]
        if shape_of(expected) != shape_of(got):
            return f"output {name!r}{_shapes(expected, got)}"
        if found := next(_differences(expected, got, tolerance, ""), None):
            return f"output {name!r}{found}"
    return None


def shape_of(value: JsonValue) -> tuple[int, ...]:
    """Return the sizes of a nested list's dimensions, judged by its first elements.

    >>> shape_of([[1, 2, 3]])
    (1, 3)
    """
    if not isinstance(value, list):
        return ()
    return (len(value), *(shape_of(value[0]) if value else ()))


def _differences(
    expected: JsonValue, got: JsonValue, tolerance: Tolerance, where: str
) -> Iterator[str]:
    """Yield every difference below `where`, an index such as `[0][3]`."""
    if isinstance(expected, list) or isinstance(got, list):
        yield from _list_differences(expected, got, tolerance, where)
    elif not _same(expected, got, tolerance):
        yield f"{where}: expected {_shown(expected)}, got {_shown(got)}"


def _list_differences(
    expected: JsonValue, got: JsonValue, tolerance: Tolerance, where: str
) -> Iterator[str]:
    if not (isinstance(expected, list) and isinstance(got, list)) or len(expected) != len(got):
        yield where + _shapes(expected, got)
        return
    for index, (left, right) in enumerate(zip(expected, got, strict=True)):
        yield from _differences(left, right, tolerance, f"{where}[{index}]")


def _same(expected: JsonValue, got: JsonValue, tolerance: Tolerance) -> bool:
    """Compare two scalars: numbers within the tolerance, everything else exactly."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return tolerance.holds(expected, got)
    return expected == got


def _shapes(expected: JsonValue, got: JsonValue) -> str:
    return f": expected the shape {list(shape_of(expected))}, got {list(shape_of(got))}"


def _names(outputs: Mapping[str, JsonValue] | Sequence[str]) -> str:
    return ", ".join(repr(name) for name in sorted(outputs))


def _shown(value: JsonValue) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
