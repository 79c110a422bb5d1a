"""What a principal may do in one database: the answer of the data rules, and what they ask about.

`Access` is a plain value. The tables themselves are seen through `Tables`, which the catalog of the
database tools fits.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

Mask: TypeAlias = Literal["null", "redact", "first", "hash"]
"""What a masked column shows instead of its value.

`null`: NULL. `redact`: `***`. `first`: the first character and `***`. `hash`: the same 16
hexadecimal digits for the same value, keyed by the access's salt. The last three are for text; a
column of another kind shows NULL instead, so that its type stays.
"""

Change: TypeAlias = Literal["insert", "update", "delete"]
"""What may be done to rows besides reading them."""

MOST_ROWS: Final = 1000
"""Rows of one answer, where no rule says less."""


class ChangeAccess(Struct, frozen=True, kw_only=True):
    """How far one kind of change reaches, within what may be read."""

    columns: tuple[str, ...] = ()
    """Those that it may set; a DELETE sets none."""
    rows: str = ""
    """Only rows for which this is true, besides the row filter of the table; as `TableAccess.rows`."""


class TableAccess(Struct, frozen=True, kw_only=True):
    """What a principal may do with one table."""

    columns: tuple[str, ...] | None = None
    """Those that may be read; None means all of them."""
    masks: Mapping[str, Mask] = msgspec.field(default_factory=dict[str, Mask])
    rows: str = ""
    """A predicate over the table's own columns, written by the policy's author, with the
    principal's attributes in it as literals. Only rows for which it is true exist."""
    insert: bool = False
    update: bool = False
    delete: bool = False
    writable: tuple[str, ...] | None = None
    """Those that an INSERT or UPDATE may set; None means all that may be read."""
    changes: Mapping[Change, ChangeAccess] = msgspec.field(
        default_factory=dict[Change, ChangeAccess]
    )
    """Kinds of change that reach less far than the rest of it says."""
    most_rows: int | None = None
    """Rows of an answer that reads this table; None means what holds for the database."""


class Access(Struct, frozen=True, kw_only=True, dict=True):
    """What a principal may do in one database. A table that is not in it does not exist."""

    tables: Mapping[str, TableAccess]
    """By the names of the catalog."""
    most_rows: int = MOST_ROWS
    policy: str = ""
    """The digest of the policy set that said so."""
    functions: frozenset[str] = frozenset()
    """Functions of the database's own that may be called, besides those that are always known."""
    salt: str = ""
    """The key of the mask `hash`. Whoever knows it can try values."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it: two accesses with the same digest allow the same."""
        return digest_of(self)

    @cached_property
    def reach(self) -> str:
        """The same, whatever the version of the policy is that says so."""
        return digest_of(replace(self, policy=""))

    def rows_of(self, tables: Iterable[str]) -> int:
        """How many rows an answer may have that reads these tables."""
        caps = (self.tables[name].most_rows for name in tables if name in self.tables)
        return min([self.most_rows, *(cap for cap in caps if cap is not None)])


class ColumnView(Protocol):
    """A column, as rules see it."""

    @property
    def name(self) -> str:
        """Its name, exactly."""
        ...

    @property
    def kind(self) -> str:
        """What its values are: `integer`, `text` and others."""
        ...

    @property
    def generated(self) -> bool:
        """Whether it can never be written."""
        ...


class TableView(Protocol):
    """A table, as rules see it."""

    @property
    def columns(self) -> Sequence[ColumnView]:
        """In their order."""
        ...

    @property
    def is_view(self) -> bool:
        """Whether it is a view, which is never changed."""
        ...


class Tables(Protocol):
    """What there is in a database, as rules see it."""

    @property
    def dialect(self) -> Literal["sqlite", "postgres"]:
        """Whose SQL it takes."""
        ...

    @property
    def tables(self) -> Mapping[str, TableView]:
        """By name."""
        ...

    @property
    def fingerprint(self) -> str:
        """Another one is another schema."""
        ...


def open_access(catalog: Tables, *, most_rows: int = MOST_ROWS) -> Access:
    """All of the catalog may be read, nothing may be written."""
    return Access(
        tables={name: TableAccess() for name in catalog.tables}, most_rows=most_rows, policy="open"
    )


def digest_of(value: object) -> str:
    """SHA-256 of a value of ours, whatever the order in its maps and sets."""
    encoded = msgspec.json.encode(msgspec.to_builtins(value, order="deterministic"), order="sorted")
    return hashlib.sha256(encoded).hexdigest()
