"""Columns that count in a part of what people say: `price_cents`, where a question says 20 dollars.

A number is never compared with one unless the question says the part itself, and an answer says
in what it counts.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stepwell.nldb.keyless.tokens import Token
from stepwell.nldb.link.words import singular, words_of_name
from stepwell.nldb.plan.check import columns_of
from stepwell.nldb.plan.model import (
    AnyOf,
    Condition,
    Exists,
    Expression,
    Filter,
    Insert,
    Plan,
    Select,
    Update,
    Value,
)

PARTS: Final = frozenset(("cent", "penny", "pence", "ct", "micro", "milli"))


def unsaid(plan: Plan, tokens: Iterable[Token]) -> str:
    """That a number is about a column which counts in a part that the question does not say; else ""."""
    said = {token.base for token in tokens} | {token.word for token in tokens}
    for name in _compared(plan):
        for part in sorted(_parts(name) - said):
            return (
                f"{name} counts in {part}s, and the question does not say so; say how many {part}s"
            )
    return ""


def told(plan: Select) -> Select:
    """The plan, which says in what its figures count."""
    shown = [column for one in plan.outputs for column in columns_of(one.value)]
    named = dict.fromkeys(
        f"{column.column} counts in {part}s"
        for column in shown
        for part in sorted(_parts(column.column))
    )
    missing = tuple(one for one in named if one not in plan.assumptions)
    return msgspec.structs.replace(plan, assumptions=(*plan.assumptions, *missing))


def _parts(name: str) -> frozenset[str]:
    return frozenset(singular(word) for word in words_of_name(name)) & PARTS


def _compared(plan: Plan) -> Iterator[str]:
    """The names of the columns that are compared with, or set to, a number."""
    match plan:
        case Select():
            yield from _of(plan.where)
            yield from _of(plan.having)
        case Update():
            yield from _of(plan.where)
            for one in plan.set:
                if isinstance(one.value, Value) and _is_number(one.value.value):
                    yield one.column
        case Insert():
            for row in plan.rows:
                for column, value in zip(plan.columns, row, strict=True):
                    if _is_number(value):
                        yield column
        case _:
            yield from _of(plan.where)


def _of(conditions: Iterable[Condition]) -> Iterator[str]:
    for condition in conditions:
        match condition:
            case Filter():
                if any(map(_is_number, condition.values)):
                    yield from _names(condition.left)
            case AnyOf():
                yield from _of(condition.conditions)
            case Exists():
                yield from _of(condition.where)


def _names(value: Expression) -> Iterator[str]:
    return (column.column for column in columns_of(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
