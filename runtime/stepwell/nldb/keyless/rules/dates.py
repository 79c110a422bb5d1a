"""Times, and the dates that they are about."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByTime,
    ByValue,
    Columns,
    Frame,
    Named,
    Sorting,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.dated import dated
from stepwell.nldb.keyless.rules.orders import sorted_by
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.rules.values import with_slot
from stepwell.nldb.keyless.times import times
from stepwell.nldb.keyless.world import ColumnName
from stepwell.nldb.link.words import words_of_name

_NOWHERE: Columns = ()


def by_time(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """A time, with the verb or column that says which of the dates is meant."""
    if any(isinstance(slot, ByTime) for slot in frame.slots):
        return
    place, named = at, _NOWHERE
    if end := reader.says(at, *english.EXCEPT):
        for stop, (first, last) in times(reader, end):
            yield stop, with_slot(frame, ByTime(first, last, negated=True), frame.near)
        return
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
    if not named and frame.last == "slot":
        frame = replace(frame, dated=frame.dated or _dates_of_state(reader, frame))
    for end, (first, last) in times(reader, place):
        yield end, with_slot(frame, ByTime(first, last, named), frame.near)


def _dates_of_state(reader: Reader, frame: Frame) -> Columns:
    """After a state, `orders delivered in May`, the time may be that of any date of its rows."""
    state = frame.slots[-1]
    if not isinstance(state, ByValue) or len(state.hits) != 1:
        return ()
    found: Columns = ()
    for hit in state.hits[0]:
        few = reader.world.values.distinct(hit.table, hit.columns) <= english.FEW_VALUES
        is_place = set(words_of_name(hit.columns[0])) & english.PLACES
        if few and not is_place and hit.table in frame.subject:
            found += tuple(ColumnName(hit.table, c.name, 0) for c in reader.world.dates(hit.table))
    return found


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
