"""Amounts of what is limited, as flags have them."""

from decimal import Decimal, InvalidOperation

from stepwell.engine.budgets import CALLS, ROWS, TOKENS, USD_MICROS
from stepwell.errors import Code, InvalidRequest

UNLIMITED = "unlimited"


def read_limits(
    usd: str, tokens: str, calls: str, rows: str, *, may_be_counted: bool = False
) -> dict[str, int | None]:
    """Limits by unit, of the flags that are given; None is `unlimited`, which is counted only.

    Raises:
        InvalidRequest: one is no amount.
    """
    given = {USD_MICROS: usd, TOKENS: tokens, CALLS: calls, ROWS: rows}
    return {
        unit: None if may_be_counted and text == UNLIMITED else _amount(unit, text)
        for unit, text in given.items()
        if text
    }


def _amount(unit: str, text: str) -> int:
    flag = "--usd" if unit == USD_MICROS else f"--{unit}"
    try:
        amount = Decimal(text.removeprefix("$")) if unit == USD_MICROS else Decimal(int(text))
        micros = amount * (1_000_000 if unit == USD_MICROS else 1)
        if micros >= 0 and micros == int(micros):
            return int(micros)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    like = "dollars, like 0.50" if unit == USD_MICROS else "a number, like 1000"
    raise InvalidRequest(f"{flag} {text}: write {like}", code=Code.INVALID_CONFIG)
