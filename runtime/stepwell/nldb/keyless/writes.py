"""Changes in plain words: delete rows, set a column of rows, join rows of two tables.

What a change is made to is found as a question is, so that every word of it is accounted for; the
rows that it means are shown before anything happens, by whoever previews the plan.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.builder import Unfit
from stepwell.nldb.keyless.finish import rows_of
from stepwell.nldb.keyless.frame import Frame, Named
from stepwell.nldb.keyless.grammar import frames
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.tokens import Token
from stepwell.nldb.keyless.world import LABEL, ColumnName, World
from stepwell.nldb.link.paths import Edge
from stepwell.nldb.link.values import Hit
from stepwell.nldb.plan.check import check
from stepwell.nldb.plan.model import (
    Arithmetic,
    Assignment,
    Col,
    Condition,
    Delete,
    Exists,
    Expression,
    Filter,
    Insert,
    InvalidPlan,
    Join,
    Output,
    Scalar,
    Select,
    Update,
    Value,
    Write,
)

_DELETE = ("delete", "remove", "erase", "get rid of", "take out")
_TAKE = ("take", "remove", "delete")
_PUT = ("put", "add", "place")
_SET = ("set", "change", "update")
_MORE = ("increase", "raise")
_LESS = ("decrease", "lower", "reduce", "cut")
VERBS = (
    *_DELETE,
    *_TAKE,
    *_PUT,
    *_SET,
    *_MORE,
    *_LESS,
    "rename",
    "insert",
    "create",
    "replace",
    "move",
    "clear",
    "assign",
    "double",
    "halve",
    "reset",
    "mark",
    "close",
    "cancel",
    "activate",
    "deactivate",
    "give all",
    "give every",
    "make",
)
_GOES_ON = frozenset(
    ["and", "or", "to", "but", "where", "if", "when", "unless", "except", "only", "not"]
)
_NOTHING = frozenset(("nothing", "null", "none", "empty", "blank"))
_LEADS = frozenset(
    [
        "please",
        "can",
        "could",
        "would",
        "will",
        "you",
        "we",
        "i",
        "want",
        "need",
        "to",
        "like",
        "d",
        "kindly",
        "let",
        "us",
        "now",
    ]
)


def written(reader: Reader) -> list[Write] | None:
    """The changes that the words may mean; None when they ask for no change."""
    at = reader.skip(0, _LEADS)
    if (
        not reader.says(at, *VERBS)
        or reader.says(at, "take me", "take us")
        or (at and reader.word(0) in ("what", "which", "who"))
    ):
        return None
    made: dict[bytes, Write] = {}
    for rule in (_deleted, _emptied, _taken_off, _put_on, _assigned, _renamed, _scaled, _created):
        for write in rule(reader, at):
            try:
                check(write, reader.world.catalog)
            except InvalidPlan:
                continue
            made.setdefault(msgspec.json.encode(write), write)
    return list(made.values())


def _deleted(reader: Reader, at: int) -> Iterator[Write]:
    """`delete the playlists that have no tracks`."""
    if not (end := reader.says(at, *_DELETE)) or _names_several(reader, end):
        return
    for table, where in _rows_meant(reader, end):
        if where:
            yield Delete(table=table, where=where)


def _names_several(reader: Reader, at: int) -> bool:
    """Whether rows of two tables are meant, `X and its tracks`: that is more than one change."""
    ands = (i for i in range(at, len(reader)) if reader.word(i) in ("and", "&", "plus"))
    return any(reader.tables(reader.skip(i + 1)) for i in ands)


def _emptied(reader: Reader, at: int) -> Iterator[Write]:
    """`remove the fax number of Jane Doe`."""
    if begin := reader.says(at, *_DELETE, "clear"):
        yield from _set_column(reader, begin, len(reader), None)


def _rows_meant(
    reader: Reader, begin: int, end: int | None = None
) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    """The tables and conditions that a stretch of the words means."""
    part = Reader(reader.tokens[begin:end], reader.world)
    for frame in frames(part, Frame(ask="list"))[0]:
        if frame.outputs or frame.sortings or frame.limit or frame.distinct:
            continue
        yield from rows_of(frame, reader.world)


def _named(
    reader: Reader, at: int
) -> Iterator[tuple[int, tuple[tuple[Hit, ...], tuple[Hit, ...]]]]:
    """Rows by their names, alone or after the name of their owner: Nirvana's Come As You Are."""
    bare = reader.skip(at)
    for end, tables, _ in [*reader.tables(bare), *((place, (), False) for place in {at, bare})]:
        for stop, hits in reader.values(end):
            kept = tuple(
                h for h in hits if _is_name(reader.world, h) and (not tables or h.table in tables)
            )
            if kept:
                yield stop, (kept, ())
                for last, names, _ in reader.tables(stop):
                    if own := tuple(h for h in kept if h.table in names):
                        yield last, (own, ())
            if reader.tokens[stop : stop + 1] and reader.tokens[stop].possessive and kept:
                for further, (inner, none) in _named(reader, stop + 1):
                    if not none:
                        yield further, (inner, kept)


def _is_name(world: World, hit: Hit) -> bool:
    return hit.columns == world.label(hit.table)


def _pair(
    reader: Reader, at: int, verbs: Sequence[str], words: Sequence[str]
) -> Iterator[tuple[str, Hit, tuple[Hit, ...], Hit, Edge, Edge]]:
    """`put X on the Y playlist`: the junction, X, the owners of X, Y, and the junction's two keys."""
    if not (begin := reader.says(at, *verbs)):
        return
    world = reader.world
    for end, (things, owners) in _named(reader, begin):
        stop = reader.says(end, *words)
        for last, (holders, _) in _named(reader, stop) if stop else ():
            if reader.skip(last, (".", "?", "!", "please", ",", "thanks")) < len(reader):
                continue
            for thing in things:
                for holder in holders:
                    for name in world.catalog.tables:
                        keys = [e for e in world.graph.edges.get(name, []) if e.to_one]
                        to_thing = [e for e in keys if e.other == thing.table]
                        to_holder = [e for e in keys if e.other == holder.table]
                        if (
                            world.is_junction(name)
                            and to_thing
                            and to_holder
                            and thing.table != holder.table
                        ):
                            yield name, thing, owners, holder, to_thing[0], to_holder[0]


def _taken_off(reader: Reader, at: int) -> Iterator[Write]:
    for table, thing, owners, holder, to_thing, to_holder in _pair(
        reader, at, _TAKE, ("off", "off of", "from", "out of", "off from")
    ):
        bare = reader.world.table(table).bare
        made = [
            _partner(to_holder, bare, _conditions(holder)),
            _owned(reader.world, to_thing, bare, thing, owners),
        ]
        yield Delete(table=table, where=tuple(made))


def _partner(edge: Edge, there: str, conditions: Sequence[tuple[str, Scalar]]) -> Exists:
    bare = edge.other.rpartition(".")[2]
    where = tuple(Filter(Col(bare, column), "=", (value,)) for column, value in conditions)
    return Exists(Join(edge.other, bare, there, edge.on), (), where)


def _conditions(hit: Hit) -> list[tuple[str, Scalar]]:
    return list(zip(hit.columns, hit.values, strict=True))


def _owned(world: World, edge: Edge, there: str, thing: Hit, owners: tuple[Hit, ...]) -> Exists:
    plain = _partner(edge, there, _conditions(thing))
    if not owners:
        return plain
    joins, where = _owner(world, plain.first.name, thing, owners)
    return Exists(plain.first, joins, (*plain.where, *where))


def _owner(
    world: World, name: str, thing: Hit, owners: tuple[Hit, ...]
) -> tuple[tuple[Join, ...], tuple[Filter, ...]]:
    """The joins from a row to its owner, and the owner's name."""
    found: list[tuple[tuple[Join, ...], tuple[Filter, ...]]] = []
    for owner in owners:
        for path in world.graph.paths(thing.table, owner.table):
            if not path or not all(edge.to_one for edge in path):
                continue
            joins: list[Join] = []
            there = name
            for edge in path:
                joins.append(Join(edge.other, world.table(edge.other).bare, there, edge.on))
                there = joins[-1].name
            where = tuple(Filter(Col(there, c), "=", (v,)) for c, v in _conditions(owner))
            found.append((tuple(joins), where))
    if len(found) > 1:
        makers = [f for f in found if set(_words(f[0][-1].table)) & english.CREATORS]
        found = makers or found
    if len(found) != 1:
        raise Unfit("whose it is cannot be told")
    return found[0]


def _words(table: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z]+", table.lower()))


def _put_on(reader: Reader, at: int) -> Iterator[Write]:
    world = reader.world
    for table, thing, owners, holder, to_thing, to_holder in _pair(
        reader, at, _PUT, ("on", "onto", "to", "in", "into", "on to")
    ):
        if not to_thing.key or len(to_thing.key) != 1 or len(to_holder.key) != 1:
            continue
        yield from _joined_rows(world, table, (thing, owners, to_thing), (holder, to_holder))


def _joined_rows(
    world: World, table: str, one: tuple[Hit, tuple[Hit, ...], Edge], other: tuple[Hit, Edge]
) -> Iterator[Write]:
    """An insert of the keys of two rows that are found by their names.

    No foreign key leads from the one to the other, so each key is looked up by a question of its
    own, joined to nothing: the keys themselves must be known to be one row each.
    """
    thing, owners, to_thing = one
    holder, to_holder = other
    bare_thing, bare_holder = world.table(thing.table).bare, world.table(holder.table).bare
    try:
        joins, where = _owner(world, bare_thing, thing, owners) if owners else ((), ())
    except Unfit:
        return
    filters = tuple(Filter(Col(bare_thing, c), "=", (v,)) for c, v in _conditions(thing))
    crossed = Join(holder.table, bare_holder, bare_thing, ())
    theirs = tuple(Filter(Col(bare_holder, c), "=", (v,)) for c, v in _conditions(holder))
    select = Select(
        table=thing.table,
        name=bare_thing,
        joins=(crossed, *joins),
        outputs=(
            Output(Col(bare_holder, to_holder.on[0][1]), to_holder.key[0]),
            Output(Col(bare_thing, to_thing.on[0][1]), to_thing.key[0]),
        ),
        where=(*theirs, *filters, *where),
    )
    yield Insert(table=table, columns=(to_holder.key[0], to_thing.key[0]), select=select)


def _assigned(reader: Reader, at: int) -> Iterator[Write]:
    """`set the phone number of Jane Doe to "..."`, `change Jane Doe's city to Oslo`."""
    if not (begin := reader.says(at, *_SET)):
        return
    for split in range(begin + 1, len(reader) - 1):
        if reader.word(split) in ("to", "as", "=") and (value := _rest(reader, split + 1)):
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


def _rest(reader: Reader, at: int) -> str:
    """The rest of the words as they were written; only what is quoted may have marks in it."""
    tokens = list(reader.tokens[at:])
    while tokens and tokens[-1].is_mark:
        tokens.pop()
    if tokens and tokens[-1].word == "please":
        tokens.pop()
    if any(token.is_sign for token in tokens) or any(map(_is_apart, tokens)):
        return ""
    if len(tokens) == 1:
        return tokens[0].text
    if any(token.word in _GOES_ON for token in tokens if not token.quoted):
        return ""  # `to Rome and the country to Italy`: whoever means that as a text quotes it
    plain = all(not token.is_mark and not token.possessive and not token.quoted for token in tokens)
    return "".join(map(_as_said, tokens)).lstrip() if plain else ""


def _is_apart(token: Token) -> bool:
    """Whether signs before a token were dropped that do not join it to the one before."""
    return not token.is_glued and bool(token.dropped.strip("'\u2018\u2019`"))


def _as_said(token: Token) -> str:
    return (token.dropped if token.is_glued else " ") + token.text


def _renamed(reader: Reader, at: int) -> Iterator[Write]:
    """`rename the playlist X to Y`."""
    if reader.word(at) != "rename":
        return
    for end, (hits, owners) in _named(reader, at + 1):
        if reader.word(end) not in ("to", "as") or owners or not (value := _rest(reader, end + 1)):
            continue
        for hit in hits:
            if len(hit.columns) == 1:
                bare = reader.world.table(hit.table).bare
                where = Filter(Col(bare, hit.columns[0]), "=", hit.values)
                yield Update(
                    table=hit.table, set=(Assignment(hit.columns[0], Value(value)),), where=(where,)
                )


def _scaled(reader: Reader, at: int) -> Iterator[Write]:
    """`raise the price of all Rock tracks by 10 percent`."""
    begin = reader.says(at, *_MORE, *_LESS)
    if not begin:
        return
    sign = 1 if reader.says(at, *_MORE) else -1
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


def _created(reader: Reader, at: int) -> Iterator[Write]:
    """`add a new genre called Synthwave`: only where a name is all that a row needs."""
    begin = reader.says(at, "add", "create", "insert", "add new", "create new")
    if not begin:
        return
    begin = reader.skip(begin, ("a", "an", "the", "new", "another"))
    for end, tables, plural in reader.tables(begin):
        stop = reader.says(end, "called", "named", "titled", "with the name", "with the title")
        if plural or not stop or not (value := _rest(reader, stop)):
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
