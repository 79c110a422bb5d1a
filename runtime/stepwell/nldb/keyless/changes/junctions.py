"""Rows of two tables that a third one joins: `put X on the playlist Y`, `take it off`."""

import re
from collections.abc import Iterator, Sequence

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.builder import Unfit
from stepwell.nldb.keyless.changes.reading import conditions, named
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.paths import Edge
from stepwell.nldb.link.values import Hit
from stepwell.nldb.plan.model import (
    Col,
    Delete,
    Exists,
    Filter,
    Insert,
    Join,
    Output,
    Scalar,
    Select,
    Write,
)

TAKE = ("take", "remove", "delete")
PUT = ("put", "add", "place")


def taken_off(reader: Reader, at: int) -> Iterator[Write]:
    """`take X off the playlist Y`."""
    for table, thing, owners, holder, to_thing, to_holder in _pair(
        reader, at, TAKE, ("off", "off of", "from", "out of", "off from")
    ):
        bare = reader.world.table(table).bare
        made = [
            _partner(to_holder, bare, conditions(holder)),
            _owned(reader.world, to_thing, bare, thing, owners),
        ]
        yield Delete(table=table, where=tuple(made))


def put_on(reader: Reader, at: int) -> Iterator[Write]:
    """`put X on the playlist Y`."""
    world = reader.world
    for table, thing, owners, holder, to_thing, to_holder in _pair(
        reader, at, PUT, ("on", "onto", "to", "in", "into", "on to")
    ):
        if not to_thing.key or len(to_thing.key) != 1 or len(to_holder.key) != 1:
            continue
        yield from _joined_rows(world, table, (thing, owners, to_thing), (holder, to_holder))


def _pair(
    reader: Reader, at: int, verbs: Sequence[str], words: Sequence[str]
) -> Iterator[tuple[str, Hit, tuple[Hit, ...], Hit, Edge, Edge]]:
    """`put X on the Y playlist`: the junction, X, the owners of X, Y, and the junction's two keys."""
    if not (begin := reader.says(at, *verbs)):
        return
    world = reader.world
    for end, (things, owners) in named(reader, begin):
        stop = reader.says(end, *words)
        for last, (holders, _) in named(reader, stop) if stop else ():
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


def _partner(edge: Edge, there: str, conditions: Sequence[tuple[str, Scalar]]) -> Exists:
    bare = edge.other.rpartition(".")[2]
    where = tuple(Filter(Col(bare, column), "=", (value,)) for column, value in conditions)
    return Exists(Join(edge.other, bare, there, edge.on), (), where)


def _owned(world: World, edge: Edge, there: str, thing: Hit, owners: tuple[Hit, ...]) -> Exists:
    plain = _partner(edge, there, conditions(thing))
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
            where = tuple(Filter(Col(there, c), "=", (v,)) for c, v in conditions(owner))
            found.append((tuple(joins), where))
    if len(found) > 1:
        makers = [f for f in found if set(_words(f[0][-1].table)) & english.CREATORS]
        found = makers or found
    if len(found) != 1:
        raise Unfit("whose it is cannot be told")
    return found[0]


def _words(table: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z]+", table.lower()))


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
    filters = tuple(Filter(Col(bare_thing, c), "=", (v,)) for c, v in conditions(thing))
    crossed = Join(holder.table, bare_holder, bare_thing, ())
    theirs = tuple(Filter(Col(bare_holder, c), "=", (v,)) for c, v in conditions(holder))
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
