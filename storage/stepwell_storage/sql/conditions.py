"""What a list of runs is asked for, in SQL."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from stepwell_storage.records import Condition
from stepwell_storage.sql.ids import packed_or_none
from stepwell_storage.sql.tables import labels, runs

_COMPARE: dict[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LABEL_OF_RUN = sa.and_(labels.c.namespace == runs.c.namespace, labels.c.run == runs.c.run)


class Wanted:
    """The runs for which all conditions hold.

    Where a label has to have one value, they are read in the order of that label's index, and not
    looked for among all runs.
    """

    def __init__(self, where: Sequence[Condition]) -> None:
        """`newest` is the statement: runs of any namespace, newest first."""
        by_label = next((it for it in where if _has_index(it)), None)
        kept = runs if by_label is None else labels
        self._order = kept.c.created_at, kept.c.run
        self.newest = (
            sa.select(runs)
            .where(*(_clause(it) for it in where if it is not by_label))
            .order_by(*(column.desc() for column in self._order))
        )
        if by_label is not None:
            self.newest = self.newest.join(labels, _LABEL_OF_RUN).where(
                labels.c.key == by_label.label, labels.c.value == by_label.values[0]
            )

    def is_before(self, at: int, run: str) -> sa.ColumnElement[bool]:
        """Whether a row stands behind this one in the list."""
        place = sa.literal(at), sa.literal(packed_or_none(run), sa.LargeBinary)
        return sa.tuple_(*self._order) < sa.tuple_(*place)


def _has_index(condition: Condition) -> bool:
    return condition.label is not None and condition.operator == "=" and len(condition.values) == 1


def _clause(condition: Condition) -> sa.ColumnElement[bool]:
    if condition.label is not None:
        return _clause_of_label(condition, condition.label)
    column = runs.c[condition.field]
    holds = _compared(column, condition)
    return sa.or_(column.is_(None), holds) if condition.operator == "!=" else holds


def _clause_of_label(condition: Condition, label: str) -> sa.ColumnElement[bool]:
    own = labels.alias()
    has_label = sa.exists().where(
        own.c.namespace == runs.c.namespace, own.c.run == runs.c.run, own.c.key == label
    )
    holds = has_label.where(_compared(own.c.value, condition))
    return sa.or_(~has_label, holds) if condition.operator == "!=" else holds


def _compared(column: sa.Column[Any], condition: Condition) -> sa.ColumnElement[bool]:
    values: Sequence[Any] = condition.values
    if isinstance(column.type, sa.LargeBinary):
        values = [packed_or_none(str(run)) or b"" for run in values]  # no run has an empty id
    if condition.operator == "=" and len(values) > 1:
        return column.in_(values)
    return sa.or_(*(_COMPARE[condition.operator](column, value) for value in values))
