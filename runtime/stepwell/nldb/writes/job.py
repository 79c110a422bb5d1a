"""What one transaction is to do, and what it did: plain values that also go to a child process."""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.guard.write import Kind
from stepwell.nldb.model import Dialect

Row: TypeAlias = list[Json]
"""One cell for each column of the table."""


EffectKind: TypeAlias = Literal["trigger", "rule", "cascade"]


class Batch(Struct, frozen=True, kw_only=True):
    """One rebuilt statement and the parameters of each time that it runs."""

    kind: Kind
    select: str
    """Reads the rows that it meets; "" for an INSERT."""
    takes: tuple[int, ...]
    """Which of the parameters `select` has, by their place."""
    where: str = ""
    """Its WHERE, with the parameters of `select`."""
    target: str = ""
    """The table as `where` knows it."""
    run: str
    """Returns the key of each row."""
    runs: tuple[tuple[Any, ...], ...]
    rows: int | None = None
    """How many an INSERT puts in each time."""


class Application(Struct, frozen=True, kw_only=True):
    """What makes a change more than a preview."""

    key: str
    preview: str
    digest: str
    """Of the preview; anything else is not written."""
    result: str
    """Of the rows that it leaves, where they can be known before."""
    at: str
    """When it is made, as RFC 3339."""


class Job(Struct, frozen=True, kw_only=True):
    """A change of one table. Without an `application` it is rolled back."""

    dialect: Dialect
    table: str
    """Qualified, as an SQL name."""
    schema: str
    bare: str
    default_schema: str
    columns: tuple[str, ...]
    """All that there are."""
    key: tuple[str, ...]
    fixed: tuple[str, ...]
    """Those whose new values do not depend on when it runs."""
    assigned: tuple[str, ...]
    row_check: str
    batches: tuple[Batch, ...]
    head: str
    """The digest of all that is known of it without the database."""
    salt: str
    stamp: str
    """Of the schema that it was checked against."""
    most_rows: int
    size: int
    """Bytes of old and new rows, as JSON."""
    may_change: dict[str, dict[str, str]]
    """What a cascade may do, by table: `delete`, `update`; each with the predicate of the rows that it
    may do that to, "" where it is all of them."""
    may_set: dict[str, tuple[str, ...]] = {}
    """The columns that a cascade may set, by table; all of them where it is not in it."""
    expects: str = ""
    """The digest of the rows that it must meet, as `Done.state`; "" where any will do."""
    application: Application | None = None

    @property
    def kind(self) -> Kind:
        """What it does to rows."""
        return self.batches[0].kind


class Effect(Struct, frozen=True, kw_only=True):
    """What the database does by itself when the change is made."""

    kind: EffectKind
    name: str
    table: str
    what: str
    body: str = ""
    """The digest of what a trigger does."""
    rows: int | None = None
    """How many rows a cascade meets at once."""


class Change(Struct, frozen=True):
    """One row, before and after; None where there is none."""

    old: Row | None
    new: Row | None


class Done(Struct, frozen=True, kw_only=True):
    """What the transaction did."""

    digest: str
    result: str
    """As `Application.result`."""
    state: str
    """The digest of all of the rows as they were left."""
    changes: list[Change]
    order: list[Row] = []
    """The keys of the rows in the order in which they were changed."""
    effects: tuple[Effect, ...] = ()


class Applied(Struct, frozen=True, kw_only=True):
    """A row of our own table in the database: that a preview was applied, and what that left."""

    key: str
    preview: str
    at: str
    keys: list[Row]
    """Those of the rows that are there now, or that were deleted, in the order of `Done.order`."""
    state: str
    """As `Done.state`."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What was done now, or, of what was applied before, what was done then."""

    done: Done | None = None
    applied: Applied | None = None
    """Without `done`, it was applied before."""
    moved: bool = False
    """The schema is another one than that of `Job.stamp`; nothing was done."""
