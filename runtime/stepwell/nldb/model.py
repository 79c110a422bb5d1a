"""What the natural-language database tools know of a database, and what one asker may do in it.

`Catalog` is what there is; `Access` is the part of it that a principal may see and change, made
from the data policies. Both are plain values: whoever reads the catalog or decides the policy
makes them, the guard and the planner only look.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

Dialect: TypeAlias = Literal["sqlite", "postgres"]
Kind: TypeAlias = Literal[
    "integer",
    "decimal",
    "float",
    "text",
    "bytes",
    "boolean",
    "date",
    "time",
    "timestamp",
    "json",
    "uuid",
    "other",
]
Mask: TypeAlias = Literal["null", "redact", "first", "hash"]
"""What a masked column shows instead of its value.

`null`: NULL. `redact`: `***`. `first`: the first character and `***`. `hash`: the same 16
hexadecimal digits for the same value, keyed by the access's salt. The last three are for text; a
column of another kind shows NULL instead, so that its type stays.
"""


class Column(Struct, frozen=True, kw_only=True):
    """A column of a table."""

    name: str
    type: str = ""
    """As the engine says it."""
    kind: Kind = "other"
    nullable: bool = True
    comment: str = ""
    default: bool = False
    """Whether it fills itself in when an INSERT leaves it out."""
    generated: bool = False
    """Whether it can never be written."""


class ForeignKey(Struct, frozen=True, kw_only=True):
    """That some columns name a row of another table."""

    columns: tuple[str, ...]
    table: str
    """By its name in the catalog."""
    referred: tuple[str, ...]


class Table(Struct, frozen=True, kw_only=True):
    """A table or a view.

    `name` is the bare name in the default schema, and `schema.name` elsewhere.
    """

    name: str
    schema: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    comment: str = ""
    rows: int | None = None
    """An estimate."""
    is_view: bool = False
    triggers: tuple[str, ...] = ()

    @property
    def bare(self) -> str:
        """Its name without the schema."""
        return self.name.removeprefix(f"{self.schema}.")


class Catalog(Struct, frozen=True, kw_only=True):
    """What there is in a database. Make one with `catalog`, which knows the fingerprint."""

    dialect: Dialect
    version: str
    default_schema: str
    tables: Mapping[str, Table]
    fingerprint: str
    """SHA-256 of everything but the estimates of rows: another one is another schema."""


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


class Access(Struct, frozen=True, kw_only=True, dict=True):
    """What a principal may do in one database. A table that is not in it does not exist."""

    tables: Mapping[str, TableAccess]
    """By the names of the catalog."""
    most_rows: int = 1000
    policy: str = ""
    """The digest of the policy set that said so."""
    functions: frozenset[str] = frozenset()
    """Functions of the database's own that may be called, besides those that are always known."""
    salt: str = ""
    """The key of the mask `hash`. Whoever knows it can try values."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it: two accesses with the same digest allow the same."""
        return _digest(self)


def catalog(
    *, dialect: Dialect, version: str, default_schema: str, tables: Mapping[str, Table]
) -> Catalog:
    """The catalog with its fingerprint."""
    lasting = {name: msgspec.structs.replace(table, rows=None) for name, table in tables.items()}
    fingerprint = _digest([dialect, version, default_schema, lasting])
    return Catalog(
        dialect=dialect,
        version=version,
        default_schema=default_schema,
        tables=tables,
        fingerprint=fingerprint,
    )


def open_access(catalog: Catalog, *, most_rows: int = 1000) -> Access:
    """All of the catalog may be read, nothing may be written."""
    return Access(
        tables={name: TableAccess() for name in catalog.tables}, most_rows=most_rows, policy="open"
    )


def _digest(value: object) -> str:
    encoded = msgspec.json.encode(msgspec.to_builtins(value, order="deterministic"), order="sorted")
    return hashlib.sha256(encoded).hexdigest()
