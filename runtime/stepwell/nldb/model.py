"""What the natural-language database tools know of a database, and what one asker may do in it.

`Catalog` is what there is; `Access` is the part of it that a principal may see and change. It is the
answer of the data rules, made there (`policy.data.access`) and only named here. Both are plain values:
the guard and the planner look at nothing else.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from stepwell.policy.data.access import (
    Access,
    Change,
    ChangeAccess,
    Mask,
    TableAccess,
    digest_of,
    open_access,
)

__all__ = [
    "APPLIED",
    "Access",
    "Catalog",
    "Change",
    "ChangeAccess",
    "Column",
    "Dialect",
    "ForeignKey",
    "Kind",
    "Mask",
    "Table",
    "TableAccess",
    "catalog",
    "open_access",
]

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


APPLIED = "_stepwell_applied"
"""The table of ours in a datasource: in no catalog, so that no statement of an asker can name it."""


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


def catalog(
    *, dialect: Dialect, version: str, default_schema: str, tables: Mapping[str, Table]
) -> Catalog:
    """The catalog with its fingerprint."""
    lasting = {name: msgspec.structs.replace(table, rows=None) for name, table in tables.items()}
    fingerprint = digest_of([dialect, version, default_schema, lasting])
    return Catalog(
        dialect=dialect,
        version=version,
        default_schema=default_schema,
        tables=tables,
        fingerprint=fingerprint,
    )
