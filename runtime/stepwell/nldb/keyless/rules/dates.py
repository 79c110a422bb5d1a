"""Times, and the dates that they are about."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByTime,
    Columns,
    Frame,
    Named,
    Sorting,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.orders import sorted_by
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.rules.values import with_slot
from stepwell.nldb.keyless.times import times
from stepwell.nldb.keyless.world import ColumnName
from stepwell.nldb.link.names import noun
from stepwell.nldb.link.words import stem, words_of_name

_NOWHERE: Columns = ()


def by_time(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """A time, with the verb or column that says which of the dates is meant."""
    if any(isinstance(slot, ByTime) for slot in frame.slots):
        return
    place, named = at, _NOWHERE
    if verb := dated(reader, at):
        place, named = verb
    else:
        for end, found in reader.columns(at):
            dates = tuple(
                c
                for c in found.columns
                if c.column in {d.name for d in reader.world.dates(c.table)}
            )
            if dates:
                place, named = reader.skip(end, ("is", "was", "are")), dates
    for end, (first, last) in times(reader, place):
        yield end, with_slot(frame, ByTime(first, last, named), frame.near)


def month_range(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`January to March`, of the year that was named."""
    begin = at + 1 if reader.word(at) in ("from", "between") else at
    first, last = (english.MONTHS.get(reader.word(place)) for place in (begin, begin + 2))
    if not first or not last or reader.word(begin + 1) not in ("to", "and", "through", "until"):
        return
    for number, slot in enumerate(frame.slots):
        if (
            isinstance(slot, ByTime)
            and slot.begin[4:] == slot.end[4:] == "-01-01"
            and first <= last
        ):
            year = int(slot.begin[:4])
            if int(slot.end[:4]) != year + 1:
                return
            following = f"{year + last // 12:04}-{last % 12 + 1:02}-01"
            narrow = ByTime(f"{year:04}-{first:02}-01", following, slot.named)
            yield (
                begin + 3,
                replace(frame, slots=(*frame.slots[:number], narrow, *frame.slots[number + 1 :])),
            )


def dated(reader: Reader, at: int) -> tuple[int, Columns] | None:
    """A verb that a date is called by: `hired` and hire_date, `shipped` and shipped_at."""
    word = reader.word(at)
    world = reader.world
    if end := reader.says(
        at,
        "joined the company",
        "joined us",
        "joined the team",
        "started working",
        "join the company",
        "started with us",
        "joined",
    ):
        stems = {"hir", "hire", "join", "start", "employ", "enter"}
    elif word == "born":
        end, stems = at + 1, {"birth", "born", "dob", "birthday", "birthdate"}
    elif word.endswith("ed") or word in (
        "sold",
        "due",
        "sent",
        "paid",
        "bought",
        "made",
        "written",
    ):
        end, stems = at + 1, {stem(word)}
    else:
        return None
    columns: Columns = ()
    for name in world.catalog.tables:
        for column in world.dates(name):
            words = {stem(part) for part in words_of_name(column.name)} | set(
                words_of_name(column.name)
            )
            if words & stems and not set(noun(world.table(name).bare)) & stems:
                columns += (ColumnName(name, column.name, 0),)
    return (end, columns) if columns else None


def join_company(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`joined us most recently`: sorted by the day of the verb."""
    if frame.sortings or not (verb := dated(reader, at)):
        return
    end, columns = verb
    for texts, most in (
        (("most recently", "last", "latest"), True),
        (("first", "earliest", "the longest ago"), False),
    ):
        if stop := reader.says(reader.skip(end), *texts):
            yield stop, sorted_by(frame, Sorting(Named(columns), most), 1)
