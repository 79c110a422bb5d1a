"""Many rows in one statement: a value is an array, one for each column.

The text of such a statement is the same for any number of rows. COPY was as fast and no faster,
takes a round trip more, and can neither join nor return anything.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from stepwell_storage.sql.session import sums


def given(*columns: sa.ColumnClause[Any]) -> sa.TableValuedAlias:
    """The rows that a statement is given, as a table with columns of these names and types."""
    named = [(column.name, _plain(column.type)) for column in columns]
    # Not by the names alone: those of columns belong to what an update sets.
    arrays = [sa.bindparam(f"all_{name}", type_=sa.ARRAY(type_)) for name, type_ in named]
    return (
        sa.func.unnest(*arrays)
        .table_valued(*(sa.column(name, type_) for name, type_ in named), name="given")
        .render_derived()
    )


def _plain(type_: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """The type without what only a table says of it, such as how it is sorted."""
    return sa.Text() if isinstance(type_, sa.Text) else type_


@cache
def insertion(table: sa.Table) -> postgresql.Insert:
    """Adds the rows that it is given, in the order of the table's columns."""
    rows = given(*table.c)
    return postgresql.insert(table).from_select(table.c.keys(), sa.select(*rows.c))


@cache
def insertion_of_missing(table: sa.Table) -> postgresql.Insert:
    """As `insertion`, but leaves out what a unique index has already."""
    return insertion(table).on_conflict_do_nothing()


@cache
def insertion_of_sums(table: sa.Table) -> postgresql.Insert:
    """As `insertion`, but adds `used` and `reserved` up where the primary key is there already."""
    insert = insertion(table)
    return insert.on_conflict_do_update(
        index_elements=table.primary_key.columns, set_=sums(table, insert.excluded)
    )
