"""From slots to plans: which table is the root, what each word means from there, how it is joined.

Everything that may mean more than one thing is tried in each of its meanings. Meanings that lie
nearer to the root win; of those that are as near, none does, and all of them are readings.
"""

from collections.abc import Iterator
from itertools import product

from msgspec import Struct

from stepwell.nldb.keyless.builder import Builder, Unfit
from stepwell.nldb.keyless.frame import (
    ByCount,
    Frame,
)
from stepwell.nldb.keyless.meanings.choices import Choice
from stepwell.nldb.keyless.meanings.conditions import Conditions
from stepwell.nldb.keyless.meanings.figures import FiguresAsked
from stepwell.nldb.keyless.meanings.roots import figure_of, roots
from stepwell.nldb.keyless.meanings.rows import RowsAsked
from stepwell.nldb.keyless.world import World
from stepwell.nldb.plan.check import check
from stepwell.nldb.plan.model import (
    AnyOf,
    Condition,
    Exists,
    Expression,
    Filter,
    InvalidPlan,
    Select,
)

_MOST_TRIES = 200


class Reading(Struct, frozen=True):
    """One way to understand a question; `meaning` tells it from the others."""

    plan: Select
    meaning: str
    cost: int


def readings(frame: Frame, world: World) -> list[Reading]:
    """The plans that a frame may mean; none when its slots do not fit together."""
    found: list[Reading] = []
    for attempt in _attempts(frame, world):
        found += attempt
    return found


def rows_of(frame: Frame, world: World) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    """The rows that a frame means, for a change: a table and conditions that join nothing."""
    found: list[tuple[int, str, tuple[Condition, ...]]] = []
    for root in list(frame.subject) or roots(frame, world):
        try:
            made = Conditions(frame, world, root)
            choices = [made.slot(slot) for slot in frame.slots]
        except Unfit:
            continue
        for picked in product(*choices):
            builder = Builder(world, root, joins=False)
            try:
                for choice in picked:
                    choice.apply(builder)
                refuse_contradiction(builder.conditions())
            except Unfit:
                continue
            found.append((sum(c.cost for c in picked), root, builder.conditions()))
    least = min((cost for cost, _, _ in found), default=0)
    yield from ((root, where) for cost, root, where in found if cost == least)


def _attempts(frame: Frame, world: World) -> Iterator[list[Reading]]:
    if not _is_whole(frame):
        return
    for root in roots(frame, world):
        asked = FiguresAsked if asks_figure(frame) else RowsAsked
        try:
            made = asked(frame, world, root)
            choices = made.choices()
        except Unfit:
            continue
        yield list(_products(made, choices))


def asks_figure(frame: Frame) -> bool:
    """Whether a figure is asked for, and not rows."""
    if frame.ask == "" and frame.groups and frame.subject_plural and not frame.lead:
        return True  # `orders per month`
    return frame.ask == "count" or bool(frame.measures) or figure_of(frame) is not None


def _products(made: RowsAsked | FiguresAsked, choices: list[list[Choice]]) -> Iterator[Reading]:
    for number, picked in enumerate(product(*choices)):
        if number >= _MOST_TRIES:
            raise Unfit("there are too many meanings")
        builder = Builder(made.world, made.root)
        try:
            for choice in picked:
                choice.apply(builder)
            plan = builder.select()
            refuse_contradiction(plan.where)
            _refuse_echo(plan)
            check(plan, made.world.catalog)
        except (Unfit, InvalidPlan):
            continue
        meaning = "; ".join(dict.fromkeys(c.meaning for c in picked if c.meaning))
        yield Reading(plan, meaning, made.cost + sum(choice.cost for choice in picked))


def refuse_contradiction(conditions: tuple[Condition, ...]) -> None:
    """No row has two values in one column: such a reading is a misreading."""
    seen: set[Expression] = set()
    filters = [c for c in conditions if isinstance(c, Filter)]
    empty = {c.left for c in filters if c.comparison == "is null"}
    if any(c.left in empty and c.comparison != "is null" for c in filters):
        raise Unfit("what is empty has no value")
    others = {value for condition in conditions for value in _said_not_to_be(condition)}
    for condition in conditions:
        match condition:
            case Filter(comparison="="):
                if condition.left in seen or condition.left in others:
                    raise Unfit("a column cannot have two values")
                seen.add(condition.left)
            case Exists():
                refuse_contradiction(condition.where)
            case _:
                pass


def _said_not_to_be(condition: Condition) -> list[Expression]:
    """The columns of which a condition says that they are not some value."""
    match condition:
        case Filter(comparison="!="):
            return [condition.left]
        case AnyOf():
            return [column for one in condition.conditions for column in _said_not_to_be(one)]
        case _:
            return []


def _refuse_echo(plan: Select) -> None:
    """An answer that only repeats the name that was asked about answers nothing."""
    said = {c.left for c in plan.where if isinstance(c, Filter) and c.comparison == "="}
    if len(plan.where) == len(said) and {output.value for output in plan.outputs} <= said:
        raise Unfit("the answer is in the question")


def _is_whole(frame: Frame) -> bool:
    """Whether nothing was announced that did not come."""
    if "average" in frame.notes or (frame.limit and not frame.sortings):
        return False
    if frame.ask == "measure" and not frame.measures:
        return False
    if frame.ask == "count" and not frame.subject:
        return False
    if frame.with_measure and not (
        frame.measures or frame.sortings or any(isinstance(s, ByCount) for s in frame.slots)
    ):
        return False
    return len(frame.sortings) <= 1
