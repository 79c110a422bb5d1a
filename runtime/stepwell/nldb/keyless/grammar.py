"""Every way to read a question.

A question is understood when some way of rules reaches its end, so that no word is ever passed
over: it is taken by a rule, or it is a filler, or there is no way.
"""

from stepwell.nldb.keyless.frame import ByCount, Frame, Without
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
            todo.extend(step for step in rule(reader, at, frame) if _may_follow(frame, step[1]))
    return list(found), furthest


def _may_follow(frame: Frame, further: Frame) -> bool:
    """Right after rows that are missing or counted, a condition would be one on those rows."""
    if len(further.slots) <= len(frame.slots) or not frame.slots:
        return True
    return frame.last != "slot" or not isinstance(frame.slots[-1], Without | ByCount)


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
    numbers.by_number,
    numbers.by_key,
    dates.by_time,
    dates.month_range,
    verbs.negation,
    verbs.bought,
    verbs.creator,
    verbs.serves,
)
