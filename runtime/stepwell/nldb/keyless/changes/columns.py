"""New values of columns: set, renamed, raised or lowered by so much."""

import re
from collections.abc import Iterator

import msgspec

from stepwell.nldb.keyless.changes.reading import named, rest
from stepwell.nldb.keyless.finish import rows_of
from stepwell.nldb.keyless.frame import Frame, Named
from stepwell.nldb.keyless.grammar import frames
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.world import LABEL, ColumnName, World
from stepwell.nldb.plan.model import (
    Arithmetic,
    Assignment,
    Col,
    Condition,
    Expression,
    Filter,
    Scalar,
    Update,
    Value,
    Write,
)

DELETE = ("delete", "remove", "erase", "get rid of", "take out")
SET = ("set", "change", "update")
MORE = ("increase", "raise")
_NOTHING = frozenset(("nothing", "null", "none", "empty", "blank"))
LESS = ("decrease", "lower", "reduce", "cut")


def emptied(reader: Reader, at: int) -> Iterator[Write]:
    """`remove the fax number of Jane Doe`."""
    if begin := reader.says(at, *DELETE, "clear"):
        yield from _set_column(reader, begin, len(reader), None)


def assigned(reader: Reader, at: int) -> Iterator[Write]:
    """`set the phone number of Jane Doe to "..."`, `change Jane Doe's city to Oslo`."""
    if not (begin := reader.says(at, *SET)):
        return
    for split in range(begin + 1, len(reader) - 1):
        if reader.word(split) in ("to", "as", "=") and (value := rest(reader, split + 1)):
            if value.lower() in _NOTHING and not reader.tokens[split + 1].quoted:
                yield from _set_column(reader, begin, split, None)
                continue
            yield from _set_column(reader, begin, split, value)


def _set_column(reader: Reader, begin: int, split: int, value: str | None) -> Iterator[Write]:
    """The column of some rows gets a value; nothing is there afterwards where that is None."""
    part = Reader(reader.tokens[begin:split], reader.world)
    for frame in frames(part, Frame(ask="list"))[0]:
        if len(frame.outputs) != 1 or not isinstance(frame.outputs[0], Named):
            continue
        for name in _nearest(frame.outputs[0], frame):
            if name.column == LABEL:
                continue
            kept = msgspec.structs.replace(frame, outputs=(), subject=(name.table,), notes=())
            if frame.subject and name.table not in frame.subject:
                continue
            known = reader.world.column(name.table, name.column)
            scalar = (
                None if value is None else _scalar(reader.world, name.table, name.column, value)
            )
            if scalar is None and not (value is None and known.nullable):
                continue
            meant = list(rows_of(kept, reader.world))
            if len({_is_own(table, where) for table, where in meant}) > 1:
                continue  # the rows called so, or rows of something that is called so
            for table, where in meant:
                if where and _is_own(table, where):
                    yield Update(
                        table=table, set=(Assignment(name.column, Value(scalar)),), where=where
                    )


def _nearest(named: Named, frame: Frame) -> list[ColumnName]:
    """The columns whose names are nearest to the words, of the table that was named if one was."""
    own = [c for c in named.columns if not frame.subject or c.table in frame.subject]
    far = min((c.far for c in own), default=0)
    return [c for c in own if c.far == far]


def _is_own(table: str, where: tuple[Condition, ...]) -> bool:
    """Whether some condition is about the table itself: a phone of Jane is one of Jane's row."""
    bare = table.rpartition(".")[2]
    return any(
        isinstance(c, Filter) and isinstance(c.left, Col) and c.left.table == bare for c in where
    )


def _scalar(world: World, table: str, column: str, text: str) -> Scalar:
    """The new value as the column's kind; None when it is none of that kind."""
    known = world.column(table, column)
    if known.kind in ("integer", "decimal", "float"):
        if not re.fullmatch(r"-?\d+(\.\d+)?", text) or (known.kind == "integer" and "." in text):
            return None
        return int(text) if known.kind == "integer" else float(text)
    if known.kind in ("date", "timestamp"):
        return text if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None
    if known.kind == "boolean":
        return {"true": True, "false": False, "yes": True, "no": False}.get(text.lower())
    return text if known.kind == "text" else None


def renamed(reader: Reader, at: int) -> Iterator[Write]:
    """`rename the playlist X to Y`."""
    if reader.word(at) != "rename":
        return
    for end, (hits, owners) in named(reader, at + 1):
        if reader.word(end) not in ("to", "as") or owners or not (value := rest(reader, end + 1)):
            continue
        for hit in hits:
            if len(hit.columns) == 1:
                bare = reader.world.table(hit.table).bare
                where = Filter(Col(bare, hit.columns[0]), "=", hit.values)
                yield Update(
                    table=hit.table, set=(Assignment(hit.columns[0], Value(value)),), where=(where,)
                )


def scaled(reader: Reader, at: int) -> Iterator[Write]:
    """`raise the price of all Rock tracks by 10 percent`."""
    begin = reader.says(at, *MORE, *LESS)
    if not begin:
        return
    sign = 1 if reader.says(at, *MORE) else -1
    for split in range(begin + 1, len(reader) - 1):
        if reader.word(split) != "by" or not (number := reader.number(split + 1)):
            continue
        end = number[0]
        percent = reader.says(end, "%", "percent", "per cent")
        end = reader.skip(percent or end, ("dollars", "dollar", "euros", ".", "!", "please"))
        if end < len(reader):
            continue
        yield from _scaled_rows(reader, begin, split, sign * number[1], is_share=bool(percent))


def _scaled_rows(
    reader: Reader, begin: int, split: int, amount: float, *, is_share: bool
) -> Iterator[Write]:
    part = Reader(reader.tokens[begin:split], reader.world)
    for frame in frames(part, Frame(ask="list"))[0]:
        if len(frame.outputs) != 1 or not isinstance(frame.outputs[0], Named):
            continue
        for name in _nearest(frame.outputs[0], frame):
            if (frame.subject and name.table not in frame.subject) or reader.world.is_text(name):
                continue
            kept = msgspec.structs.replace(frame, outputs=(), subject=(name.table,), notes=())
            column = Col(reader.world.table(name.table).bare, name.column)
            changed: Expression = (
                Arithmetic("*", column, Value(round(1 + amount / 100, 6)))
                if is_share
                else Arithmetic("+", column, Value(amount))
            )
            for table, where in rows_of(kept, reader.world):
                if where:
                    yield Update(table=table, set=(Assignment(name.column, changed),), where=where)
