"""Values as the columns of `kubectl get` print them: short texts that no program reads back."""

from decimal import Decimal

WHOLE_FROM = Decimal("999.5")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024
DIGITS = 12


def printed(metric: str, value: str) -> str:
    """Return a metric with its value.

    >>> printed("accuracy", "0.9711")
    'accuracy=0.9711'
    """
    return f"{metric}={value}"


def steps_per_second(examples_per_second: str | None, batch_size: int) -> str | None:
    """Return a speed in steps, to three digits.

    >>> steps_per_second("1250", 32), steps_per_second("98304", 32)
    ('39.1', '3072')
    """
    return rounded(Decimal(examples_per_second) / batch_size) if examples_per_second else None


def short_digest(digest: str) -> str:
    """Return the first digits of a digest, without the name of its algorithm.

    >>> short_digest("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.partition(":")[2][:DIGITS]


def sized(count: int) -> str:
    """Return a number of bytes, 1 or more, in the unit that leaves it short.

    >>> sized(900), sized(1536), sized(5 * 1024**4)
    ('900B', '1.5KiB', '5TiB')
    """
    power = min((count.bit_length() - 1) // 10, len(UNITS) - 1)
    return rounded(Decimal(count) / STEP**power) + UNITS[power]


def rounded(value: Decimal) -> str:
    """Return a positive number to three digits, or whole.

    >>> rounded(Decimal("0.0123456")), rounded(Decimal("1234.5"))
    ('0.0123', '1234')
    """
    return f"{value:.0f}" if value >= WHOLE_FROM else f"{value:.3g}"
