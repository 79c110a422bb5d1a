"""Every way to read a question.

A question is understood when some way of rules reaches its end, so that no word is ever passed
over: it is taken by a rule, or it is a filler, or there is no way.
"""

from stepwell.nldb.keyless.frame import (
    ByCount,
    ByNull,
    ByNumber,
    ByText,
    ByTime,
    Frame,
    Related,
    Without,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules import (
    asked,
    dates,
    names,
    numbers,
    orders,
    small,
    values,
    verbs,
)
from stepwell.nldb.keyless.rules.step import Rule, Step

MOST_STATES = 6000


class TooManyWays(Exception):
    """The question can be read in more ways than are worth looking at."""


def frames(reader: Reader, start: Frame | None = None) -> tuple[list[Frame], int]:
    """Every frame that takes the whole question, and the furthest place that was reached."""
    found: dict[Frame, None] = {}
    seen: set[Step] = set()
    todo: list[Step] = [(0, start or Frame())]
    furthest = 0
    while todo:
        at, frame = todo.pop()
        if (at, frame) in seen:
            continue
        seen.add((at, frame))
        if len(seen) > MOST_STATES:
            raise TooManyWays
        furthest = max(furthest, at)
        if at >= len(reader):
            found[frame] = None
            continue
        for rule in RULES:
            todo.extend(
                step for step in rule(reader, at, frame) if _may_follow(reader, frame, step[1])
            )
    return list(found), furthest


def _may_follow(reader: Reader, frame: Frame, further: Frame) -> bool:
    """Whether a condition can only be one on the rows that are asked for.

    Right after rows that are missing or counted it would be one on those; a number right after
    another table would be one of that table, and so would a time, unless it is of a deal.
    """
    if len(further.slots) <= len(frame.slots):
        return True
    if frame.last == "group" and isinstance(further.slots[-1], ByText | ByNull):
        return False
    if not frame.slots:
        return True
    before, added = frame.slots[-1], further.slots[-1]
    if frame.last == "measure" and frame.subject and isinstance(added, ByNumber):
        return False  # `genres with an average price above 1`: above 1 on average, not each
    if frame.last == "slot":
        return not isinstance(before, Without | ByCount)
    if frame.last == "related" and isinstance(before, Related):
        if isinstance(added, ByText | ByNull) and _is_of(reader, added, before.tables):
            return False
        deals = all(reader.world.is_transaction(table) for table in before.tables)
        return not isinstance(added, ByNumber) and (deals or not isinstance(added, ByTime))
    return True


def _is_of(reader: Reader, slot: ByText | ByNull, tables: tuple[str, ...]) -> bool:
    """Whether a text or what is empty may be that of the table that was named just before."""
    if not slot.columns:
        return any(reader.world.label(table) for table in tables)
    return any(column.table in tables for column in slot.columns)


RULES: tuple[Rule, ...] = (
    small.mark,
    small.filler,
    small.and_also,
    small.light_verb,
    small.decimals,
    small.only_different,
    asked.how_many,
    asked.how_much,
    asked.money_verb,
    asked.worth,
    asked.on_average,
    asked.revenue,
    asked.aggregate,
    asked.in_unit,
    asked.when,
    orders.superlative,
    orders.top,
    orders.few,
    orders.most_rows,
    orders.best_selling,
    orders.ordered_by,
    orders.which_first,
    names.a_group,
    names.which_time,
    names.a_table,
    names.flagged,
    names.filled,
    names.anything,
    names.a_column,
    names.whats_on,
    dates.join_company,
    values.by_value,
    values.by_text,
    values.text_inside,
    numbers.by_number,
    numbers.by_key,
    dates.by_time,
    dates.month_range,
    verbs.negation,
    verbs.bought,
    verbs.creator,
    verbs.serves,
)
