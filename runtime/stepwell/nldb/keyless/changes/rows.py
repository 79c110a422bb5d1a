"""New rows, where a name is all that they need."""

from collections.abc import Iterator

from stepwell.nldb.keyless.changes.reading import rest
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.world import World
from stepwell.nldb.plan.model import (
    Insert,
    Write,
)


def created(reader: Reader, at: int) -> Iterator[Write]:
    """`add a new genre called Synthwave`: only where a name is all that a row needs."""
    begin = reader.says(at, "add", "create", "insert", "add new", "create new")
    if not begin:
        return
    begin = reader.skip(begin, ("a", "an", "the", "new", "another"))
    for end, tables, plural in reader.tables(begin):
        stop = reader.says(end, "called", "named", "titled", "with the name", "with the title")
        if plural or not stop or not (value := rest(reader, stop)):
            continue
        for table in tables:
            label = reader.world.label(table)
            if len(label) == 1 and _needs_only(reader.world, table, label[0]):
                yield Insert(table=table, columns=label, rows=((value,),))


def _needs_only(world: World, table: str, column: str) -> bool:
    known = world.table(table)
    counts = world.catalog.dialect == "sqlite" and len(known.primary_key) == 1
    for one in known.columns:
        fills_itself = counts and one.name in known.primary_key and one.type.upper() == "INTEGER"
        if (
            one.name != column
            and not one.nullable
            and not one.default
            and not one.generated
            and not fills_itself
        ):
            return False
    return True
