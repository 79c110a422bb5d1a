"""Sees that generate_series() ends."""

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlglot import exp

from stepwell.nldb.guard.functions import MOST_SERIES
from stepwell.nldb.guard.refusals import Refused

_STEP: Final = re.compile(
    r"\s*\+?(\d{1,4})\s+(hour|day|week|mon|month|quarter|year)s?\s*", re.IGNORECASE
)


def check_series(arguments: Sequence[Any]) -> None:
    """Whole numbers between constants, or points in time with a step of at least an hour.

    Raises:
        Refused: by sql.arguments.
    """
    numbers = [_number(argument) for argument in arguments]
    if len(arguments) in (2, 3) and all(number is not None for number in numbers):
        start, stop = float(numbers[0] or 0), float(numbers[1] or 0)
        step = float(numbers[2] or 0) if len(numbers) == 3 else 1.0
        if step == 0 or abs((stop - start) / step) > MOST_SERIES:
            raise Refused(
                "sql.arguments",
                f"generate_series() gives more than {MOST_SERIES} rows",
                "narrow the bounds",
            )
        return
    if len(arguments) == 3 and _is_long_step(arguments[2]):
        return
    raise Refused(
        "sql.arguments",
        "generate_series() with bounds that are not numbers, or a step that is not a literal "
        "interval of at least an hour",
        "write numbers, or points in time with a step such as INTERVAL '1 day'",
    )


def _number(node: Any) -> float | None:
    sign = 1.0
    while type(node) in (exp.Neg, exp.Paren):
        sign = -sign if type(node) is exp.Neg else sign
        node = node.this
    if isinstance(node, exp.Literal) and not node.is_string:
        try:
            return sign * float(node.this)
        except ValueError:
            return None
    return None


def _is_long_step(node: Any) -> bool:
    if isinstance(node, exp.Cast):
        to = node.args["to"]
        is_interval = isinstance(to, exp.DataType) and to.this is exp.DataType.Type.INTERVAL
        node = node.this if is_interval or isinstance(to, exp.Interval) else None
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        text = f"{node.this.this} {unit.this if unit is not None else ''}".lower()
    elif isinstance(node, exp.Literal) and node.is_string:
        text = str(node.this)
    else:
        return False
    step = _STEP.fullmatch(text)
    return step is not None and int(step.group(1)) > 0
