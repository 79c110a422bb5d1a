"""Sorting, superlatives and limits."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByValue,
    Copies,
    Frame,
    Money,
    Named,
    PerTime,
    RowsOf,
    Sized,
    Sorting,
    Target,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.figures import functions, targets
from stepwell.nldb.keyless.rules.step import Step


def sorted_by(frame: Frame, sorting: Sorting, limit: int | None) -> Frame:
    """The frame with an order."""
    return replace(
        frame,
        ask=frame.ask or "list",
        sortings=(*frame.sortings, sorting),
        limit=frame.limit or limit,
        last="sorting",
    )


def superlative_at(reader: Reader, at: int) -> tuple[int, str, bool] | None:
    """A superlative: where it ends, what it measures, whether the most of it is meant."""
    word = reader.word(at)
    if word in english.SUPERLATIVES:
        kind, most = english.ADJECTIVES[english.SUPERLATIVES[word]]
        return at + 1, kind, most
    if word in ("cost", "costs") and (end := reader.says(at + 1, "the most", "most")):
        return end, "price", True
    if word in ("cost", "costs") and (end := reader.says(at + 1, "the least", "least")):
        return end, "price", False
    if word in ("first", "last"):
        counted = reader.number(at + 1)
        if reader.tables(counted[0] if counted else at + 1):
            return at + 1, "recency", word == "last"
    if word in ("most", "least") and reader.word(at + 1) in english.ADJECTIVES:
        kind, most = english.ADJECTIVES[reader.word(at + 1)]
        return at + 2, kind, most == (word == "most")
    return None


def superlative(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`the four biggest invoices`, `the oldest person on our staff`."""
    limit: int | None = None
    place = at
    if number := reader.number(place):
        place, limit = number[0], int(number[1])
    found = superlative_at(reader, place)
    if found is None or frame.sortings or frame.ask == "measure":
        return
    end, kind, most = found
    if limit is None and (number := reader.number(end)):
        end, limit = number[0], int(number[1])
    after = reader.skip(
        end,
        ("person", "one")
        if reader.tables(end + 1) or reader.says(end, "person on", "person in")
        else (),
    )
    after = reader.skip(after, ("on", "in", "of", "our", "the")) if after > end else end
    sorting = Sorting(Sized(kind), most if kind not in ("age", "seniority") else not most)
    for stop, hits in reader.values(after):
        for last, tables, plural in reader.tables(stop):
            if not (plural and limit is None) and not frame.subject:
                slots = (*frame.slots, ByValue((hits,)))
                made = replace(frame, subject=tables, near=tables, slots=slots)
                yield last, sorted_by(made, sorting, limit or 1)
    for stop, tables, plural in reader.tables(after):
        if not (plural and limit is None and after == end) and not frame.subject:
            made = replace(frame, subject=tables, near=tables)
            yield stop, sorted_by(made, sorting, limit or 1)
    if (frame.subject and end >= len(reader)) or reader.word(end) in ("?", "."):
        yield end, sorted_by(frame, sorting, limit or 1)


def top(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`top five`, to be sorted by what comes later."""
    if frame.groups and frame.measures and (number := reader.number(at + 1)):
        if reader.word(at) in ("top", "bottom") and not frame.limit and not frame.sortings:
            order = Sorting(None, reader.word(at) == "top")
            yield number[0], sorted_by(frame, order, int(number[1]))
        return
    if (
        reader.word(at) in ("top", "bottom")
        and (number := reader.number(at + 1))
        and not frame.limit
    ):
        word = reader.word(at)
        yield (
            number[0],
            replace(frame, limit=int(number[1]), notes=(*frame.notes, word), last="ask"),
        )


def few(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`the five products`, with the lowest or the most of what comes later."""
    if frame.subject or frame.ask or frame.limit or not (number := reader.number(at)):
        return
    for stop, tables, plural in reader.tables(number[0]):
        if number[1] >= 1:
            made = replace(frame, subject=tables, subject_plural=plural, near=tables)
            yield stop, replace(made, limit=int(number[1]), last="subject")


def most_rows(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`has the most tracks`, `with the fewest orders`, `the highest number of albums`."""
    place = reader.skip(at, ("the",))
    word = reader.word(place)
    most = reader.says(
        place,
        "most",
        "highest number of",
        "largest number of",
        "greatest number of",
        "biggest number of",
        "most number of",
    )
    least = reader.says(
        place,
        "fewest",
        "least",
        "lowest number of",
        "smallest number of",
        "least number of",
        "fewest number of",
    )
    end = most or least
    if not end or word in ("", "of") or frame.sortings:
        return
    for stop, tables, _ in reader.tables(end):
        yield stop, sorted_by(frame, Sorting(RowsOf(tables), bool(most)), 1)
    for stop, named in reader.columns(end) if frame.subject else ():
        numbers = tuple(c for c in named.columns if not reader.world.is_text(c))
        if numbers and named.plural and not reader.tables(end):
            yield stop, sorted_by(frame, Sorting(Named(numbers), bool(most)), 1)
    for stop, figure in reader.figures(end):
        yield stop, sorted_by(frame, Sorting(figure, bool(most)), 1)
    if stop := reader.says(end, *english.REVENUE, "money"):
        yield stop, sorted_by(frame, Sorting(Money(reader.text(end, stop)), bool(most)), 1)
    if stop := reader.says(end, "copies", "units", "sold"):
        yield stop, sorted_by(frame, Sorting(Copies(), bool(most)), 1)


def best_selling(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`best selling`, `sold the most`."""
    end = reader.says(
        at,
        "best selling",
        "bestselling",
        "most sold",
        "top selling",
        "most often sold",
        "sold the most",
        "sold most",
        "sold most often",
    )
    if end and not frame.sortings:
        yield end, sorted_by(frame, Sorting(Copies(), True), None if frame.limit else 1)


def ordered_by(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`top five by revenue`, `sorted by name descending`."""
    ordered = reader.says(
        at,
        "sorted by",
        "ordered by",
        "order by",
        "sort by",
        "in order of",
        "sorted on",
        "ranked by",
    )
    end = ordered or (reader.says(at, "by") if frame.limit or frame.subject else 0)
    if not end or frame.sortings:
        return
    place = reader.skip(end)
    down = "bottom" not in frame.notes
    candidates: list[tuple[int, Target]] = list(targets(reader, place, "sum"))
    if stop := reader.says(place, "number of", "count of", "total number of"):
        candidates += [(e, RowsOf(tables)) for e, tables, _ in reader.tables(reader.skip(stop))]
    found, after = functions(reader, place)
    if found == ["sum"]:
        candidates += list(targets(reader, reader.skip(after), "sum"))
    for stop, target in candidates:
        if (
            isinstance(target, Named)
            and not ordered
            and all(reader.world.is_text(c) for c in target.columns)
        ):
            continue
        if not ordered and not frame.limit:
            continue
        descending = down if frame.limit and not ordered else False
        if after := reader.says(
            stop,
            "descending",
            "desc",
            "from high to low",
            "in descending order",
            "highest first",
            "from highest to lowest",
        ):
            stop, descending = after, True
        elif after := reader.says(
            stop,
            "ascending",
            "asc",
            "from low to high",
            "in ascending order",
            "lowest first",
            "from lowest to highest",
        ):
            stop, descending = after, False
        yield stop, sorted_by(frame, Sorting(target, descending), None)


def which_first(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`newest first`, `oldest year first`, `best first`."""
    word = reader.word(at)
    if (word == "in" and (end := reader.says(at, "in alphabetical order"))) or (
        end := reader.says(
            at, "alphabetically", "sorted alphabetically", "from a to z", "sorted by name"
        )
    ):
        yield end, sorted_by(frame, Sorting(None, False, True), None)
        return
    if reader.word(at + 1) == "recent" and reader.word(at + 2) == "first":
        end, kind, most = at + 2, "recency", word != "least"
    elif word in ("best", "worst", "most", "fewest", "least") and reader.word(at + 1) == "first":
        end, kind, most = at + 1, "", word in ("best", "most")
    elif found := superlative_at(reader, at):
        end, kind, most = found
    else:
        return
    end = reader.skip(
        end, ("year", "month", "ones", "one", "day", "quarter", "value", "values", "amount")
    )
    if reader.word(end) != "first":
        return
    if kind in ("age", "recency") and any(isinstance(g, PerTime) for g in frame.groups):
        down = most if kind == "recency" else not most
        yield end + 1, sorted_by(frame, Sorting(None, down, True), None)
    elif kind in ("age", "recency"):
        down = most if kind == "recency" else not most
        same = [
            s for s in frame.sortings if isinstance(s.target, Sized) and s.target.kind == "recency"
        ]
        if same and same[0].descending == down:
            yield end + 1, frame
        elif not frame.sortings:
            yield end + 1, sorted_by(frame, Sorting(Sized("recency"), down), None)
    elif frame.measures or frame.sortings or kind == "":
        same_way = [s for s in frame.sortings if s.descending == most]
        if same_way:
            yield end + 1, frame
        elif not frame.sortings:
            yield end + 1, sorted_by(frame, Sorting(None, most), None)
    elif not frame.sortings:
        yield end + 1, sorted_by(frame, Sorting(Sized(kind), most), None)
