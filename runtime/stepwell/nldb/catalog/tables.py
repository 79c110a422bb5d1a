"""Makes tables of what SQLAlchemy's inspector tells of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy.engine import Dialect

from stepwell.nldb.catalog.kinds import kind_of
from stepwell.nldb.model import Column, ForeignKey

Told: TypeAlias = Mapping[str, Any]
"""What the inspector says of one thing."""
Named: TypeAlias = Callable[[str | None, str], str]
"""The name in the catalog, of a schema and a bare name."""


def columns_of(told: Iterable[Told], dialect: Dialect) -> tuple[Column, ...]:
    """The columns of a table."""
    return tuple(_column(column, dialect) for column in told)


def _column(told: Told, dialect: Dialect) -> Column:
    identity, computed = told.get("identity"), told.get("computed")
    is_always = bool(identity and identity.get("always"))
    kind = kind_of(told["type"])
    return Column(
        name=told["name"],
        type=_type(told["type"], dialect),
        kind=kind,
        nullable=bool(told.get("nullable", True)),
        comment=told.get("comment") or "",
        default=told.get("default") is not None or bool(identity),
        generated=bool(computed) or is_always,
    )


def _type(type: Any, dialect: Dialect) -> str:
    try:
        return str(type.compile(dialect) or "")  # of an enum it is a quoted_name
    except Exception:  # noqa: BLE001 - a type that SQLAlchemy does not know has no name
        return ""


def key_of(told: Told | None) -> tuple[str, ...]:
    """The primary key."""
    return tuple((told or {}).get("constrained_columns") or ())


def foreign_keys_of(told: Iterable[Told], named: Named) -> tuple[ForeignKey, ...]:
    """The foreign keys, in the order of their columns."""
    keys = [
        ForeignKey(
            columns=tuple(key["constrained_columns"]),
            table=named(key.get("referred_schema"), key["referred_table"]),
            referred=tuple(key["referred_columns"]),
        )
        for key in told
    ]
    return tuple(sorted(keys, key=lambda key: (key.columns, key.table)))


def unique_of(constraints: Iterable[Told], indexes: Iterable[Told]) -> tuple[tuple[str, ...], ...]:
    """The sets of columns of which no two rows have the same values."""
    found = {tuple(one["column_names"]) for one in constraints}
    found |= {
        tuple(index["column_names"])
        for index in indexes
        if index.get("unique") and _is_whole(index)
    }
    return tuple(sorted(found))


def _is_whole(index: Told) -> bool:
    """Whether an index is over columns alone, and over all rows."""
    names: Sequence[str | None] = index["column_names"]
    options: Mapping[str, Any] = index.get("dialect_options", {})
    return all(names) and not any(key.endswith("_where") for key in options)
