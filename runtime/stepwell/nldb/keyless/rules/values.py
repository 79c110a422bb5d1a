"""Values: which rows are meant by their names and attributes."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByText,
    ByValue,
    Columns,
    Frame,
    Slot,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.dated import dated
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.times import times
from stepwell.nldb.keyless.world import Role
from stepwell.nldb.link.values import Hit
from stepwell.nldb.link.words import stem
from stepwell.nldb.plan.model import Comparison

_BEFORE_VALUES = ("the", "for", "in", "from", "by", "of", "those", "ones", "with")


def _of_whom(frame: Frame, roles: tuple[Role, ...]) -> Frame:
    """`who reports to X` asks for those who do; nothing else says of which table."""
    tables = tuple({role.table for role in roles})
    if not frame.who or frame.subject or frame.outputs or len(tables) != 1:
        return frame
    return replace(frame, subject=tables, near=tables)


def kind_of_rows(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`how many admins`: rows of the one table that has such a kind."""
    for end, hits in reader.values(at):
        tables = tuple({hit.table for hit in hits})
        plural = reader.tokens[end - 1].word != reader.tokens[end - 1].base
        if len(tables) == 1 and plural and not reader.tables(end):
            made = replace(frame, subject=tables, near=tables)
            yield end, with_slot(made, ByValue((hits,), owner=tables), tables)


def by_value(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """Values, one or several, with the table whose rows they name."""
    negated, place = False, at
    alone = reader.word(at) == "only"
    if end := reader.says(at, *english.EXCEPT):
        negated, place = True, reader.skip(end, _BEFORE_VALUES)
    elif reader.word(at) == "by":
        place = reader.skip(at + 1, ("the",))
    elif alone:
        place = reader.skip(at + 1, _BEFORE_VALUES)
    if verb := dated(reader, place):
        if next(times(reader, verb[0]), None):
            return  # `closed in May`: when, not in which state
        frame = replace(frame, dated=verb[1])
    for end, hits in reader.values(place):
        for stop, every, others in further(reader, end, hits):
            every = every or alone
            yield from with_owner(reader, frame, place, stop, (hits, *others), negated, every)
    if alone:
        return
    if frame.last == "ask" and frame.ask == "count" and not (frame.subject or negated):
        yield from kind_of_rows(reader, place, frame)
    for end, tables, plural in reader.tables(place):
        begin = reader.skip(end, ("called", "named", "titled", "entitled", ",", "by"))
        for stop, hits in reader.values(begin):
            owned = owned_by(reader, tables, hits)
            if owned and not (plural and begin == end and not reader.tokens[begin].quoted):
                yield (
                    stop,
                    with_slot(frame, ByValue((owned,), frame.near, tables, (), negated), tables),
                )
    for end, roles in [*reader.roles(place), *roles_by_verb(reader, place)]:
        begin = reader.skip(end, ("is", "are", "was", "the"))
        for stop, hits in reader.values(begin):
            owned = tuple(h for h in hits if any(h.table == r.other for r in roles))
            if owned:
                slot = ByValue((owned,), (), (), (), negated, False, roles)
                yield stop, with_slot(_of_whom(frame, roles), slot, frame.near)
    for end, named in reader.columns(place):
        begin = reader.skip(end, ("is", "are", "of", "=", "equals", "being", "called"))
        for stop, hits in reader.values(begin):
            owned = tuple(
                h
                for h in hits
                if any((c.table, (c.column,)) == (h.table, h.columns) for c in named.columns)
            )
            if not owned:
                continue
            for last, every, others in further(reader, stop, owned):
                slot = ByValue(
                    (owned, *others), frame.near, (), named.columns, negated, every and not negated
                )
                yield last, with_slot(frame, slot, frame.near)


def roles_by_verb(reader: Reader, at: int) -> Iterator[tuple[int, tuple[Role, ...]]]:
    """`assigned to`, where there is an assignee; `managed by`, where there is a manager."""
    word = reader.word(at)
    if not word.endswith("ed") or reader.word(at + 1) not in ("to", "by"):
        return
    done = stem(word)
    for phrase, roles in reader.world.roles.items():
        if len(phrase) == 1 and any(phrase[0] in (done + end, done + "e" + end) for end in _DOERS):
            yield at + 2, tuple(roles)


_DOERS = ("ee", "er", "or", "r")


def further(
    reader: Reader, end: int, hits: tuple[Hit, ...]
) -> Iterator[tuple[int, bool, tuple[tuple[Hit, ...], ...]]]:
    """No further value, or `, Canada and Mexico` of the same columns."""
    yield end, False, ()
    found: list[tuple[Hit, ...]] = []
    every = False
    while True:
        begin = reader.skip(end, (",", "and", "or", "in", "the", "from", "by"))
        between = [reader.word(i) for i in range(end, begin)]
        if not between or between[0] not in (",", "and", "or"):
            return
        following = reader.values(begin)
        if not following:
            return
        end, further = following[0]
        places = {(h.table, h.columns) for h in hits}
        if not any((h.table, h.columns) in places for h in further):
            return
        every = every or "and" in between
        found.append(further)
        if "and" in between or "or" in between:
            yield end, every, tuple(found)


def with_owner(
    reader: Reader,
    frame: Frame,
    begin: int,
    end: int,
    values: tuple[tuple[Hit, ...], ...],
    negated: bool,
    every: bool,
) -> Iterator[Step]:
    """Values, alone or before the name of the table whose rows they name."""
    before = (
        reader.word(begin - 1)
        if reader.word(begin - 1) not in ("the", "not")
        else reader.word(begin - 2)
    )
    preposition = before if before in ("by", "in", "from", "at", "outside") else ""
    taken = ByValue(values, frame.near, (), (), negated, every, (), preposition)
    owners = [
        (stop, tables, plural)
        for stop, tables, plural in reader.tables(end)
        if len(values) == 1 and (not plural or frame.subject)
    ]
    owned_any = False
    for stop, tables, _ in owners:
        if owned := owned_by(reader, tables, values[0]):
            owned_any = True
            made = ByValue((owned,), frame.near, tables, (), negated)
            if not frame.subject and frame.ask == "count":
                continue
            yield stop, with_slot(frame, made, tables)
    if not owned_any:
        yield end, with_slot(frame, taken, frame.near)


def owned_by(reader: Reader, tables: tuple[str, ...], hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Those values that name rows of some tables."""
    return tuple(
        h for h in hits if h.table in tables and set(h.columns) <= set(reader.world.label(h.table))
    )


def with_slot(frame: Frame, slot: Slot, near: tuple[str, ...]) -> Frame:
    """The frame with one condition more."""
    return replace(frame, slots=(*frame.slots, slot), near=near, last="slot")


MATCHES: tuple[tuple[Comparison, tuple[str, ...]], ...] = (
    (
        "starts",
        (
            "start with",
            "starts with",
            "starting with",
            "begin with",
            "begins with",
            "beginning with",
        ),
    ),
    ("ends", ("end with", "ends with", "ending with", "end in", "ends in")),
    ("contains", ("contain", "contains", "containing")),
)


def text_inside(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`with love in their title`."""
    begin = reader.says(at, "have", "has", "with", "having", "contain", "containing", "that have")
    begin = reader.says(begin, "the word", "the words", "the text") or begin
    if not begin or not frame.subject or begin >= len(reader) or reader.tokens[begin].is_mark:
        return
    place = reader.says(begin + 1, "in the", "in their", "in its", "in his", "in her", "in")
    for end, named in reader.columns(place) if place else ():
        if texts := tuple(c for c in named.columns if reader.world.is_text(c)):
            slot = ByText(texts, "contains", reader.tokens[begin].text)
            yield end, with_slot(frame, slot, frame.near)


def by_text(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`whose name starts with A`, `with a title that contains "love"`: to the end of the question."""
    place = at
    columns: Columns = ()
    for end, named in reader.columns(at):
        place, columns = reader.skip(end, ("that", "which")), named.columns
    for comparison, texts in MATCHES:
        if not frame.subject or not (begin := reader.says(place, *texts)):
            continue
        begin = reader.says(begin, "the letter") or begin
        end = begin + 1
        while end < len(reader) and reader.tokens[end].is_glued:
            end += 1
        rest = reader.skip(end, (".", "?", "!"))
        if begin < len(reader) <= rest and not reader.tokens[begin].is_mark:
            quoted = reader.tokens[begin].quoted or comparison != "contains" or columns
            if quoted:
                slot = ByText(columns, comparison, reader.as_written(begin, end))
                yield rest, with_slot(frame, slot, frame.near)
