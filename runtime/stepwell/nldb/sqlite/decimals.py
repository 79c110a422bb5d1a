"""Decimals out of the binary fractions that SQLite computes them as."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

_SURE: Final = 15
"""The digits of a binary fraction that are always those of the decimal that it stands for."""


def decimals(row: Sequence[Any], scales: Sequence[int | None]) -> list[Any]:
    """The row with a Decimal for each number of a column that holds decimals.

    A scale is the digits after the point; -1 is a decimal of which nobody knows how many, and 0
    and None are columns whose values stay as they are.
    """
    return [
        _decimal(value, scale) if scale and _is_number(value) else value
        for value, scale in zip(row, scales, strict=True)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _decimal(value: float, scale: int) -> Decimal:
    if scale < 0:
        return Decimal(f"{Decimal(f'{value:.{_SURE}g}'):f}")
    return Decimal(f"{value:.{scale}f}")
