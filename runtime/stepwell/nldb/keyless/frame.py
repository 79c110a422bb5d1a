"""What has been understood of a question so far: the slots that its words filled."""

from typing import Literal, TypeAlias

from msgspec import Struct

from stepwell.nldb.glossary import Figure
from stepwell.nldb.keyless.world import ColumnName, Role
from stepwell.nldb.link.values import Hit
from stepwell.nldb.plan.model import Comparison, Function, TimePart

Columns: TypeAlias = tuple[ColumnName, ...]


class Named(Struct, frozen=True, tag=True):
    """A column by its name, with all that it may be."""

    columns: Columns
    plural: bool = False


class Sized(Struct, frozen=True, tag=True):
    """The column that measures something, a price or a duration; `unit` is the asker's, in ms."""

    kind: str
    unit: int = 0
    table: tuple[str, ...] = ()


class Money(Struct, frozen=True, tag=True):
    """What was paid in business that was done."""

    word: str


class Copies(Struct, frozen=True, tag=True):
    """How many pieces were sold."""


class RowsOf(Struct, frozen=True, tag=True):
    """The number of rows of a table."""

    tables: tuple[str, ...]


class Metric(Struct, frozen=True, tag=True):
    """A metric of the glossary; several when they share the name."""

    metrics: tuple[Figure, ...]


Target: TypeAlias = Named | Sized | Money | Copies | RowsOf | Metric


class Measure(Struct, frozen=True):
    """An aggregate of a target."""

    function: Function
    target: Target


class ByValue(Struct, frozen=True, tag=True):
    """Rows that have one of some values. `near` is the table that was named just before.

    `owner` are tables that the value was said to name a row of: the album X; `roles` what the
    named row is to those that are asked for: whose boss is X.
    """

    hits: tuple[tuple[Hit, ...], ...]
    near: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    columns: Columns = ()
    negated: bool = False
    every: bool = False
    roles: tuple[Role, ...] = ()
    preposition: str = ""


class ByNumber(Struct, frozen=True, tag=True):
    """Rows in which a number is in a range."""

    target: Named | Sized
    comparison: Comparison
    number: float
    unit: int = 0


class ByCount(Struct, frozen=True, tag=True):
    """Rows to which so many rows of another table belong, or so much that was paid."""

    target: RowsOf | Money
    comparison: Comparison
    number: float


class ByTime(Struct, frozen=True, tag=True):
    """Rows of a time: from `begin`, before `end`; "" is open. `named` is the column, if it was said."""

    begin: str
    end: str
    named: Columns = ()
    negated: bool = False


class ByNull(Struct, frozen=True, tag=True):
    """Rows that have no value, or with `negated` that have one."""

    columns: Columns
    negated: bool = False


class ByText(Struct, frozen=True, tag=True):
    """Rows whose text begins with, ends with or contains something; of their name unless said."""

    columns: Columns
    comparison: Comparison
    text: str


class ByFlag(Struct, frozen=True, tag=True):
    """Rows for which a column that is true or false is true, or with `negated` is false."""

    columns: Columns
    negated: bool = False


class Without(Struct, frozen=True, tag=True):
    """Rows to which no row of another table belongs."""

    tables: tuple[str, ...]


class Related(Struct, frozen=True, tag=True):
    """Rows to which a row of another table belongs."""

    tables: tuple[str, ...]


class Served(Struct, frozen=True, tag=True):
    """That the named person is the one who looks after the rows."""

    roles: tuple[Role, ...]


Slot: TypeAlias = (
    ByValue | ByNumber | ByCount | ByTime | ByNull | ByText | ByFlag | Without | Related | Served
)


class PerTime(Struct, frozen=True, tag=True):
    """Groups by a part of the time."""

    part: TimePart


class PerColumn(Struct, frozen=True, tag=True):
    """Groups by a column; `filled` leaves the rows out that have nothing there."""

    columns: Columns
    filled: bool = False


class PerTable(Struct, frozen=True, tag=True):
    """Groups by the rows of a table."""

    tables: tuple[str, ...]


class PerRole(Struct, frozen=True, tag=True):
    """Groups by what the rows of another table are to these."""

    roles: tuple[Role, ...]


Grouping: TypeAlias = PerTime | PerColumn | PerTable | PerRole


class Sorting(Struct, frozen=True):
    """What the answer is sorted by. Without a target it is what was measured, or the group."""

    target: Target | None
    descending: bool
    by_group: bool = False


class Frame(Struct, frozen=True, kw_only=True):
    """The slots. `last` tells which kind the last one was, for what may follow an `and`."""

    ask: Literal["", "list", "count", "measure", "when"] = ""
    subject: tuple[str, ...] = ()
    subject_plural: bool = False
    who: bool = False
    whose: tuple[Role, ...] = ()
    anything: bool = False
    much: bool = False
    negated: bool = False
    outputs: tuple[Named | Role, ...] = ()
    measures: tuple[Measure, ...] = ()
    slots: tuple[Slot, ...] = ()
    groups: tuple[Grouping, ...] = ()
    sortings: tuple[Sorting, ...] = ()
    limit: int | None = None
    distinct: bool = False
    with_measure: bool = False
    dated: Columns = ()
    """The dates by which a state is called that is asked for: `closed`, and closed_at."""
    near: tuple[str, ...] = ()
    last: str = ""
    lead: str = ""
    notes: tuple[str, ...] = ()
