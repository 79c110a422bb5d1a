"""Tables, columns, roles and groups."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByFlag,
    ByNull,
    Frame,
    Named,
    PerColumn,
    PerRole,
    PerTable,
    PerTime,
    Related,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.numbers import is_compared
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.times import times
from stepwell.nldb.keyless.world import LABEL, ColumnName


def a_group(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`per year`, `for each genre`, `month by month`."""
    adverb = reader.word(at)
    if adverb in english.TIME_ADVERBS:
        yield at + 1, grouped(frame, PerTime(english.TIME_ADVERBS[adverb]))
    base = reader.tokens[at].base
    if base in english.TIME_UNITS and reader.says(at + 1, f"by {base}"):
        yield at + 3, grouped(frame, PerTime(english.TIME_UNITS[base]))
    end = 0 if frame.last == "and:group" else reader.says(
        at, "per", "for each", "in each", "for every", "in every", "each", "every", "of each", "from each",
        "by each", "on each", "at each", "broken down by", "grouped by", "split by",
    )  # fmt: skip
    if (
        end
        and frame.groups
        and (
            end >= len(reader)
            or reader.tokens[end].is_mark
            or reader.tokens[end].base in english.TIME_UNITS
        )
    ):
        stop = reader.skip(end, english.TIME_UNITS)
        yield stop, replace(frame, with_measure=True)
    if (
        not end
        and reader.word(at) == "by"
        and (frame.measures or frame.ask == "count")
        and not (frame.limit or is_done_by(reader, at, frame))
    ):
        end = at + 1
    if not end and frame.last == "and:group":
        end = at
    if not end:
        return
    place = reader.skip(end)
    base = reader.tokens[place].base if place < len(reader) else ""
    if base in english.TIME_UNITS:
        yield place + 1, grouped(frame, PerTime(english.TIME_UNITS[base]))
    for stop, roles in reader.roles(place):
        yield stop, grouped(frame, PerRole(roles))
    tables = reader.tables(place)
    for stop, names, _ in tables:
        yield stop, grouped(frame, PerTable(names))
    for stop, named in reader.columns(place):
        if not tables or stop >= tables[0][0]:
            yield stop, grouped(frame, PerColumn(named.columns))


def is_done_by(reader: Reader, at: int, frame: Frame) -> bool:
    """Whether `by` comes after what somebody did: `placed in 2024 by customers`."""
    before = reader.word(at - 1)
    if before in ("are", "is", "were", "was"):
        return reader.word(at) == "by"
    did = english.DONE | english.BUY | english.SELL | english.CREATE
    is_done = before in did or before.endswith("ed") or "done" in frame.notes
    return reader.word(at) == "by" and is_done


def which_time(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`which year had the highest revenue`."""
    unit = english.TIME_UNITS.get(reader.word(at + 1))
    if reader.word(at) in ("which", "what") and unit and not frame.subject and not frame.groups:
        yield at + 2, replace(grouped(frame, PerTime(unit)), notes=(*frame.notes, "which time"))


def grouped(frame: Frame, group: PerTime | PerColumn | PerTable | PerRole) -> Frame:
    """The frame with one group more."""
    return replace(frame, groups=(*frame.groups, group), last="group")


_DETERMINERS = frozenset(("a", "an", "any", "the", "each", "every", "our", "one", "some", "their"))


def a_table(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """A table: the subject, or one whose rows must belong to it."""
    if frame.last in ("output", "subject", "related") and at and reader.is_name(at - 1):
        return  # two nouns side by side: nothing says how they belong together
    for end, tables, plural in reader.tables(at):
        if not frame.subject:
            yield (
                end,
                replace(frame, subject=tables, subject_plural=plural, near=tables, last="subject"),
            )
        elif tables == frame.subject and frame.ask != "count":
            yield end, replace(frame, near=tables)
        elif _is_shown_with(reader, at):
            if frame.ask in ("", "list"):
                shown = Named(tuple(_name_of_row(reader, table) for table in tables), plural)
                yield end, replace(frame, outputs=(*frame.outputs, shown), last="output")
        elif not frame.last.startswith("and:") and (plural or reader.word(at - 1) in _DETERMINERS):
            yield (
                end,
                replace(frame, slots=(*frame.slots, Related(tables)), near=tables, last="related"),
            )


def _is_shown_with(reader: Reader, at: int) -> bool:
    """Whether what belongs to the rows is to be shown with them: `albums with their artists`."""
    return reader.word(at - 1) in ("their", "its", "his", "her") and reader.word(at - 2) in (
        "with",
        "and",
        "including",
    )


def _name_of_row(reader: Reader, table: str) -> ColumnName:
    label = reader.world.label(table)
    return ColumnName(table, label[0] if len(label) == 1 else LABEL, 0)


def flagged(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`discontinued products`, `products that are not discontinued`, `inactive users`."""
    place = reader.says(at, *english.EXCEPT)
    negated = bool(place)
    place = reader.skip(place, ("the", "those", "ones", "yet")) if place else at
    named = [(end, names.columns, negated) for end, names in reader.columns(place)]
    for prefix in ("in", "un", "non"):
        word = reader.word(place).removeprefix(prefix)
        if word != reader.word(place) and not negated:
            named.append((place + 1, tuple(reader.world.columns.get((word,), ())), True))
    is_said = frame.subject and (negated or reader.word(at - 1) in _BEFORE_FLAGS)
    for end, columns, is_false in named:
        flags = tuple(c for c in columns if reader.world.is_flag(c))
        valued = [({hit.table for hit in hits}) for _, hits in reader.values(end)]
        for tables in [*(set(tables) for _, tables, _ in reader.tables(end)), *valued]:
            own = tuple(c for c in flags if c.table in tables)
            if own:
                slot = ByFlag(own, is_false)
                yield end, replace(frame, slots=(*frame.slots, slot), last="flag")
        if flags and is_said:
            slot = ByFlag(flags, is_false)
            yield end, replace(frame, slots=(*frame.slots, slot), last="slot")


_BEFORE_FLAGS = frozenset(("are", "is", "were", "was", "been", "be", "on"))


def anything(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`anything`, where the rest says of which table."""
    if reader.word(at) not in (
        "anything",
        "something",
        "everything",
        "anyone",
        "everyone",
        "everybody",
        "anybody",
        "somebody",
        "someone",
    ):
        return
    if any(isinstance(s, Related) for s in frame.slots):
        yield at + 1, frame
    elif not frame.subject:
        yield at + 1, replace(frame, anything=True)


def a_column(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """A column or a role that is asked for."""
    if frame.ask in ("count", "measure") and not (frame.much and not frame.measures):
        return
    notes = frame.notes if frame.subject or frame.outputs else (*frame.notes, "column first")
    frame = replace(frame, notes=notes)
    if reader.word(at) in ("cost", "costs") and is_compared(reader, at + 1):
        return
    if reader.word(at) in ("total", "sum") and _is_sum(reader, at):
        return
    if frame.subject and _is_had(reader, at):
        return
    for end, named in reader.columns(at):
        if frame.subject and _says_which(reader, end, named):
            continue
        if _is_adjective(reader, end, named) or any(stop == end for stop, _ in reader.roles(at)):
            continue  # it says which rows, or whom they belong to: nobody asks for a key
        yield end, replace(frame, outputs=(*frame.outputs, named), last="output")
    for end, roles in reader.roles(at):
        if reader.values(reader.skip(end, ("is", "are", "was", "the"))):
            continue  # it says which rows, not what to tell of them
        for role in roles:
            yield end, replace(frame, outputs=(*frame.outputs, role), last="output")


def _is_adjective(reader: Reader, at: int, named: Named) -> bool:
    """Whether a yes or no only says which rows are meant: `active admins`."""
    flags = all(reader.world.is_flag(c) and c.far > 0 for c in named.columns)
    return flags and at < len(reader) and bool(reader.values(at) or reader.tables(at))


def _is_sum(reader: Reader, at: int) -> bool:
    """Whether `total of ...` adds up several rows, and is not a column that is called so."""
    if reader.says(at + 1, "of all", "of the", "of our"):
        return True
    if reader.word(at + 1) != "of":
        return False
    is_name = any(c.far == 0 for _, named in reader.columns(at) for c in named.columns)
    rest = range(at + 2, len(reader))
    return not is_name or any(plural for i in rest for _, _, plural in reader.tables(i))


def _is_had(reader: Reader, at: int) -> bool:
    """Whether it is said that rows have the column: `have a company`, `with an email`."""
    before = reader.word(at - 1)
    if before in ("a", "an", "any"):
        return reader.word(at - 2) in ("have", "has", "had", "having", "with")
    return before in ("have", "has", "had", "having")


def filled(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`customers that have a company`: those in which the column is not empty."""
    if frame.subject and reader.word(at - 1) in ("a", "an", "any") and _is_had(reader, at):
        for end, named in reader.columns(at):
            if is_compared(reader, end) or next(times(reader, end), None):
                continue  # what is more than something is there
            slot = ByNull(named.columns, negated=True)
            yield end, replace(frame, slots=(*frame.slots, slot), last="slot")


def _says_which(reader: Reader, at: int, named: Named) -> bool:
    """Whether a value of the column comes next, so that it says which rows are meant."""
    begin = reader.skip(at, ("is", "are", "=", "equals"))
    places = {(c.table, (c.column,)) for c in named.columns}
    return any((h.table, h.columns) in places for _, hits in reader.values(begin) for h in hits)


def whats_on(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`What is on the Grunge playlist`: what its rows are joined with."""
    if at != 0 or not (
        end := reader.says(at, "what is on", "what is in", "what does", "what is inside")
    ):
        return
    yield end, replace(frame, lead="what", notes=("contents",))
