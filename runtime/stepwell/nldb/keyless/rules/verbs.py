"""Verbs that say how rows belong together, and that they do not."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByFlag,
    ByNull,
    ByTime,
    Copies,
    Frame,
    Measure,
    Related,
    Served,
    Without,
)
from stepwell.nldb.keyless.meanings.roots import copies_of
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.dated import dated
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.rules.values import with_slot
from stepwell.nldb.keyless.times import times
from stepwell.nldb.keyless.world import ColumnName
from stepwell.nldb.link.names import noun


def negation(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`without albums`, `that have no tracks in them`, `with no phone number`, `never bought`."""
    end = reader.says(
        at, "without", "without any", "have no", "has no", "with no", "having no", "do not have", "does not have",
        "not have", "have not", "contain no", "contains no", "do not have any", "does not have any", "not have any",
        "not on any", "not in any", "not on a", "not in a", "on no", "in no", "have never had", "lack", "lacking", "are missing", "missing", "did not have",
    )  # fmt: skip
    subject = frame.subject
    if end and subject:
        place = reader.skip(end)
        for stop, tables, _ in reader.tables(place):
            stop = (
                reader.says(stop, "in them", "in it", "on them", "on it", "at all", "yet") or stop
            )
            yield stop, with_slot(frame, Without(tables), frame.near)
        for stop, named in reader.columns(place):
            flags = tuple(c for c in named.columns if reader.world.is_flag(c))
            slot = ByFlag(flags, negated=True) if flags else ByNull(named.columns)
            yield stop, with_slot(frame, slot, frame.near)
    if end and subject:
        for stop, roles in reader.roles(reader.skip(end)):
            keys = tuple(ColumnName(r.table, r.edge.key[0], 0) for r in roles)
            yield stop, with_slot(frame, ByNull(keys), frame.near)
    end = reader.says(
        at, "never", "not", "have not", "have never", "has never", "did not", "who never",
        "never been", "not been", "never get",
    )  # fmt: skip
    verb = dated(reader, reader.skip(end, ("been", "yet"))) if end and subject else None
    if verb:
        within = list(times(reader, verb[0]))
        for stop, (first, last) in within:
            yield stop, with_slot(frame, ByTime(first, last, verb[1], negated=True), frame.near)
        if not within:
            stop = reader.says(verb[0], "yet") or verb[0]
            yield stop, with_slot(frame, ByNull(verb[1]), frame.near)
    if end and subject and reader.word(end) in english.BUY:
        stop = reader.says(end + 1, "anything", "from us", "anything from us") or end + 1
        deals = transactions(reader)
        if deals:
            yield stop, with_slot(frame, Without(deals), frame.near)
    if end and subject and reader.word(end) in english.SELL and (lines := lines_of(reader)):
        yield end + 1, with_slot(frame, Without(lines), frame.near)


def transactions(reader: Reader) -> tuple[str, ...]:
    """The tables of business done that are not lines of another."""
    world = reader.world
    deals = [name for name in world.catalog.tables if world.is_transaction(name)]
    whole = [
        n
        for n in deals
        if not any(e.other in deals and e.to_one for e in world.graph.edges.get(n, []))
    ]
    return tuple(whole)


def lines_of(reader: Reader) -> tuple[str, ...]:
    """The tables that say how many pieces of what were sold."""
    return tuple(dict.fromkeys(table for table, _ in copies_of(reader.world)))


def bought(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`bought`, `sold`: by way of the business that was done."""
    word = reader.word(at)
    if word in english.BUY and (frame.subject or frame.who) and (deals := transactions(reader)):
        said = [slot for slot in frame.slots if isinstance(slot, Related)]
        if not any(set(slot.tables) & set(deals) for slot in said):
            yield at + 1, replace(frame, slots=(*frame.slots, Related(deals)), last="verb")
    if word in english.SELL and frame.ask == "count" and frame.subject and not frame.measures:
        if frame.distinct and (lines := lines_of(reader)):
            yield at + 1, with_slot(frame, Related(lines), frame.near)
            return
        yield (
            at + 1,
            replace(
                frame,
                ask="measure",
                measures=(Measure("sum", Copies()),),
                last="measure",
                slots=(*frame.slots, Related(frame.subject)),
                subject=(),
                notes=(*frame.notes, "copies"),
            ),
        )


def creator(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`who made the album X`: the one of its neighbours that makes things."""
    if not frame.who or frame.subject or reader.word(at) not in english.CREATE:
        return
    world = reader.world
    makers = tuple(
        n for n in world.catalog.tables if set(noun(world.table(n).bare)) & english.CREATORS
    )
    if makers:
        yield at + 1, replace(frame, subject=makers, last="subject")


def serves(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`does Jane look after`: the one by whom the rows are served."""
    end = reader.says(
        at,
        "look after",
        "looks after",
        "looked after by",
        "looking after",
        "take care of",
        "takes care of",
        "supported by",
        "served by",
        "handled by",
    )
    if not end and reader.word(at) in (
        "supports",
        "support",
        "serves",
        "serve",
        "handles",
        "handle",
        "assists",
        "supported",
    ):
        end = at + 1
    if not end:
        return
    roles = tuple(
        role
        for phrase, found in reader.world.roles.items()
        if set(phrase) & english.SERVERS
        for role in found
    )
    if roles:
        yield end, with_slot(frame, Served(roles), frame.near)
