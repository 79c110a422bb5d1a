"""What a plan may say. Nothing here is SQL, and no text of an asker ever becomes SQL.

A plan names tables and columns as the catalog does. Each table that it reads has a name of its
own in the plan (`as`), so that one table may be there twice, an employee and his manager.
`stepwell.nldb.plan.check` says whether a plan fits a catalog, `stepwell.nldb.plan.sql` compiles
it, `stepwell.nldb.plan.explain` puts it in words.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Struct

Scalar: TypeAlias = str | int | float | bool | None
Comparison: TypeAlias = Literal[
    "=", "!=", "<", "<=", ">", ">=", "contains", "starts", "ends", "is null", "is not null"
]
TimePart: TypeAlias = Literal["year", "quarter", "month", "day"]
Function: TypeAlias = Literal["count", "count distinct", "sum", "avg", "min", "max"]


class Value(Struct, frozen=True, tag_field="kind", tag="value"):
    """A value that is bound, never written into the SQL."""

    value: Scalar


class Col(Struct, frozen=True, tag_field="kind", tag="column"):
    """A column of one of the plan's tables, by that table's name in the plan."""

    table: str
    column: str


class Part(Struct, frozen=True, tag_field="kind", tag="part"):
    """A part of a date or timestamp, as a whole number; `month` is 1 to 12."""

    part: TimePart
    of: Col


class Arithmetic(Struct, frozen=True, tag_field="kind", tag="arithmetic"):
    """Two operands; a division is never one of whole numbers."""

    operator: Literal["+", "-", "*", "/"]
    left: "Expression"
    right: "Expression"


class Aggregate(Struct, frozen=True, tag_field="kind", tag="aggregate"):
    """One value of many rows. Only `count` may leave `of` out: it counts rows then."""

    function: Function
    of: "Expression | None" = None


Expression: TypeAlias = Value | Col | Part | Arithmetic | Aggregate


class Filter(Struct, frozen=True, tag_field="kind", tag="filter"):
    """A comparison. Several values of `=` mean any of them, of `!=` none of them."""

    left: Expression
    comparison: Comparison
    values: tuple[Scalar, ...] = ()
    ignore_case: bool = False


class Join(Struct, frozen=True):
    """A further table, by pairs of (column of the table that is there, its own column).

    `outer` keeps the rows that have no partner.
    """

    table: str
    name: str
    to: str
    on: tuple[tuple[str, str], ...]
    outer: bool = False


class Exists(Struct, frozen=True, tag_field="kind", tag="exists"):
    """That there are rows of another table, or with `negated` that there are none."""

    first: Join
    joins: tuple[Join, ...] = ()
    where: tuple["Condition", ...] = ()
    negated: bool = False


class AnyOf(Struct, frozen=True, tag_field="kind", tag="any"):
    """At least one of some conditions."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Filter | Exists | AnyOf


class Output(Struct, frozen=True):
    """A column of the answer."""

    value: Expression
    name: str


class Order(Struct, frozen=True):
    """What the answer is sorted by; rows without a value come last either way."""

    value: Expression
    descending: bool = False


class Select(Struct, frozen=True, kw_only=True, tag_field="kind", tag="select"):
    """A question. `where` and `having` hold all together."""

    table: str
    name: str
    joins: tuple[Join, ...] = ()
    outputs: tuple[Output, ...]
    where: tuple[Condition, ...] = ()
    group: tuple[Expression, ...] = ()
    having: tuple[Filter, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    ties: bool = False
    """Whether rows that are as good as the last one within the limit come along."""
    distinct: bool = False
    assumptions: tuple[str, ...] = ()
    """How a word was taken that could have been taken otherwise."""


class Assignment(Struct, frozen=True):
    """A column of the written table and what it becomes."""

    column: str
    value: Expression


class Insert(Struct, frozen=True, kw_only=True, tag_field="kind", tag="insert"):
    """New rows: values, or the rows of a question that has as many outputs as `columns`."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...] = ()
    select: Select | None = None
    assumptions: tuple[str, ...] = ()


class Update(Struct, frozen=True, kw_only=True, tag_field="kind", tag="update"):
    """A change of the rows for which all of `where` holds; there is always one condition."""

    table: str
    set: tuple[Assignment, ...]
    where: Annotated[tuple[Condition, ...], msgspec.Meta(min_length=1)]
    assumptions: tuple[str, ...] = ()


class Delete(Struct, frozen=True, kw_only=True, tag_field="kind", tag="delete"):
    """Takes away the rows for which all of `where` holds; there is always one condition."""

    table: str
    where: Annotated[tuple[Condition, ...], msgspec.Meta(min_length=1)]
    assumptions: tuple[str, ...] = ()


Write: TypeAlias = Insert | Update | Delete
Plan: TypeAlias = Select | Write


class InvalidPlan(ValueError):
    """The plan does not fit the catalog, or would count rows twice; the message says where."""
