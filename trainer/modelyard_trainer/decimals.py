"""Numbers as the API writes them: text that matches `DecimalString`."""

from decimal import Decimal

SIGNIFICANT_DIGITS = 7
"""Enough for a relative error below 1e-6."""


def decimal_text(value: float) -> str:
    """Return `value` with seven significant digits; `value` must be finite.

    >>> decimal_text(0.9722222222)
    '0.9722222'
    """
    return format(float(value), f".{SIGNIFICANT_DIGITS}g")


def number(text: str) -> float:
    """Return the number that a `DecimalString` stands for."""
    return float(Decimal(text))
