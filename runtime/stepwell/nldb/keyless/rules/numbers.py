"""Numbers that are compared."""

from collections.abc import Iterator

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByCount,
    ByNumber,
    ByTime,
    ByValue,
    Frame,
    Named,
    RowsOf,
    Sized,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.keyless.rules.values import with_slot
from stepwell.nldb.keyless.world import ColumnName
from stepwell.nldb.plan.model import Comparison


def by_number(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`over 80 minutes`, `at least ten albums`, `a price above 1`, `between 3 and 5 dollars`."""
    place = at
    named: Named | None = None
    for end, found in reader.columns(at):
        rest = tuple(c for c in found.columns if not reader.world.is_text(c))
        if rest:
            named = Named(rest)
            place = reader.skip(end, ("is", "are", "of", "was", "being", "that", "a"))
    if named and reader.word(at - 1) in ("a", "an") and reader.word(at - 2) not in _HAD_WITH:
        return  # `give them a price of 5` asks for something else
    kind = ""
    place = reader.skip(
        place, ("run", "runs", "last", "lasts", "running", "lasting") if named is None else ()
    )
    if reader.word(place) in ("cost", "costs", "costing", "priced") and named is None:
        kind, place = "price", reader.skip(place + 1, ("at",))
    if sized := comparative(reader, place):
        stop, kind, operator = sized
    elif found_one := reader.comparison(place):
        stop, operator = found_one
    elif reader.word(place) == "between":
        yield from between(reader, place, frame, named, kind)
        return
    elif named or kind or reader.word(at) in ("have", "has", "with", "having"):
        stop, operator = place, "="
        if not named and not kind:
            stop = at + 1
    else:
        return
    yield from compared(reader, stop, frame, named, kind, operator)


_HAD_WITH = frozenset(("with", "have", "has", "had", "having", "at", "for"))


def by_key(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`order 5`, `invoice number 12`: the row by its key."""
    for end, tables, plural in reader.tables(at):
        place = reader.skip(end, ("number", "no", "id", "#"))
        number = reader.number(place)
        if plural or not number or reader.tables(number[0]):
            continue
        for table in tables:
            key = reader.world.table(table).primary_key
            if len(key) == 1 and reader.world.column(table, key[0]).kind == "integer":
                named = Named((ColumnName(table, key[0], 0),))
                yield number[0], with_slot(frame, ByNumber(named, "=", number[1]), frame.near)


def comparative(reader: Reader, at: int) -> tuple[int, str, Comparison] | None:
    """`longer than`: where it ends, what it measures, and which way."""
    word = reader.word(at)
    if word in english.COMPARATIVES and reader.word(at + 1) == "than":
        kind, most = english.ADJECTIVES[english.COMPARATIVES[word]]
        return at + 2, kind, ">" if most else "<"
    if (
        word in ("more", "less")
        and reader.word(at + 1) in english.ADJECTIVES
        and reader.word(at + 2) == "than"
    ):
        kind, most = english.ADJECTIVES[reader.word(at + 1)]
        return at + 3, kind, ">" if most == (word == "more") else "<"
    return None


def compared(
    reader: Reader, at: int, frame: Frame, named: Named | None, kind: str, operator: Comparison
) -> Iterator[Step]:
    """The number after a comparison, and what it is a number of."""
    place = at + 1 if reader.word(at) in ("$", "€", "£") else at
    money = place > at
    if not (number := reader.number(place) or reader.number(reader.skip(place, ("a", "an")))):
        return
    end, amount = number
    unit = 0
    if found := reader.duration(end):
        end, unit = reader.says(found[0], "long", "in length") or found[0], found[1]
    elif reader.word(end) in english.MONEY_UNITS or reader.is_part(end):
        end, money = end + 1, True
    if named is not None:
        yield end, with_slot(frame, ByNumber(named, operator, amount, unit), frame.near)
    elif unit:
        if kind in ("", "duration", "size"):
            yield (
                end,
                with_slot(frame, ByNumber(Sized("duration"), operator, amount, unit), frame.near),
            )
    elif money or kind:
        yield end, with_slot(frame, ByNumber(Sized(kind or "money"), operator, amount), frame.near)
    else:
        yield from counted(reader, end, frame, operator, amount)


def counted(
    reader: Reader, end: int, frame: Frame, operator: Comparison, amount: float
) -> Iterator[Step]:
    """`at least ten albums`, `more than 5 units`."""
    if _is_of_deals(reader, end, frame):
        yield end, with_slot(frame, ByNumber(Sized("money"), operator, amount), frame.near)
        return
    for stop, tables, _ in reader.tables(reader.skip(end, ("different",))):
        if (frame.subject or frame.outputs) and tables != frame.subject:
            yield stop, with_slot(frame, ByCount(RowsOf(tables), operator, amount), frame.near)
    for stop, found in reader.columns(end):
        numbers = tuple(c for c in found.columns if not reader.world.is_text(c))
        if numbers and frame.subject:
            yield stop, with_slot(frame, ByNumber(Named(numbers), operator, amount), frame.near)


def between(
    reader: Reader, at: int, frame: Frame, named: Named | None, kind: str
) -> Iterator[Step]:
    """`between 3 and 5 dollars`."""
    first = reader.number(at + 1)
    if not first or reader.word(first[0]) != "and":
        return
    second = reader.number(first[0] + 1)
    if not second:
        return
    end, unit = second[0], 0
    if lasting := reader.duration(end):
        end, unit = reader.says(lasting[0], "long", "in length") or lasting[0], lasting[1]
    elif reader.word(end) in english.MONEY_UNITS or reader.is_part(end):
        end, kind = end + 1, kind or "money"
    for stop, found in reader.columns(end) if named is None and not (unit or kind) else ():
        numbers = tuple(c for c in found.columns if not reader.world.is_text(c))
        if numbers and frame.subject:
            end, named = stop, Named(numbers)
            break
    if not kind and _is_of_deals(reader, end, frame):
        kind = "money"
    target = named or (Sized("duration") if unit else Sized(kind) if kind else None)
    if target is not None:
        low = with_slot(frame, ByNumber(target, ">=", first[1], unit), frame.near)
        yield end, with_slot(low, ByNumber(target, "<=", second[1], unit), frame.near)


def _is_of_deals(reader: Reader, end: int, frame: Frame) -> bool:
    """Whether a bare number can only be the money of the invoices, orders, ... before it."""
    said = frame.slots[-1] if frame.last == "slot" else None
    if not frame.subject or not (frame.last == "subject" or isinstance(said, ByTime | ByValue)):
        return False
    bare = end >= len(reader) or reader.tokens[end].is_mark or reader.word(end) in english.FILLERS
    return bare and all(map(reader.world.is_transaction, frame.subject))


def is_compared(reader: Reader, at: int) -> bool:
    """Whether a comparison comes next."""
    return bool(
        reader.comparison(at)
        or comparative(reader, at)
        or reader.number(at)
        or reader.word(at) in ("between", "$")
    )
