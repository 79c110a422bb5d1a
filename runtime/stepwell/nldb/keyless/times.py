"""Times that a question names, as ranges of days: from the first, before the second."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.reader import Reader

Range = tuple[str, str]
_YEAR = re.compile(r"(?:19|20)\d\d")
_ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_QUARTERS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": 4}


def times(reader: Reader, at: int) -> Iterator[tuple[int, Range]]:
    """The times that are named at a place, with where each ends."""
    word = reader.word(at)
    begin = (
        reader.skip(at + 1, ("the",)) if word in ("in", "during", "on", "for", "of", "from") else at
    )
    if reader.word(begin) == "years":
        yield from _from_to(reader, reader.skip(begin + 1, ("from", "between")))
    if word in ("from", "between"):
        yield from _from_to(reader, reader.skip(at + 1, ("the",)))
    if word in ("since", "before", "after", "until", "till"):
        for end, (first, last) in _one(reader, reader.skip(at + 1, ("the",))):
            yield end, _open(word, first, last)
        return
    yield from _one(reader, begin)
    yield from _relative(reader, begin)


def _open(word: str, first: str, last: str) -> Range:
    match word:
        case "since":
            return first, ""
        case "after":
            return last, ""
        case "before":
            return "", first
        case _:
            return "", last


def _from_to(reader: Reader, at: int) -> Iterator[tuple[int, Range]]:
    for end, (first, _) in _one(reader, at):
        if reader.word(end) in ("to", "and", "until", "till", "through"):
            for stop, (_, last) in _one(reader, reader.skip(end + 1, ("the",))):
                yield stop, (first, last)


def _one(reader: Reader, at: int) -> Iterator[tuple[int, Range]]:
    """A day, a month of a year, a quarter, a year."""
    word = reader.word(at)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word):
        if day := _day(*map(int, word.split("-"))):
            yield at + 1, _days(day, day + timedelta(days=1))
    elif _YEAR.fullmatch(word):
        yield at + 1, (f"{word}-01-01", f"{int(word) + 1:04}-01-01")
    elif word in ("year",) and _YEAR.fullmatch(reader.word(at + 1)):
        yield at + 2, (f"{reader.word(at + 1)}-01-01", f"{int(reader.word(at + 1)) + 1:04}-01-01")
    elif word in english.MONTHS:
        yield from _month(reader, at)
    elif (found := _ORDINAL.fullmatch(word)) and (
        reader.word(at + 1) in english.MONTHS or reader.word(at + 2) in english.MONTHS
    ):
        month = at + 1 if reader.word(at + 1) in english.MONTHS else at + 2
        if month == at + 1 or reader.word(at + 1) == "of":
            yield from _day_of(
                reader, month + 1, english.MONTHS[reader.word(month)], int(found.group(1))
            )
    else:
        yield from _quarter(reader, at)


def _month(reader: Reader, at: int) -> Iterator[tuple[int, Range]]:
    month = english.MONTHS[reader.word(at)]
    after = reader.skip(at + 1, ("of", ","))
    if _YEAR.fullmatch(reader.word(after)):
        year = int(reader.word(after))
        following = date(year + month // 12, month % 12 + 1, 1)
        yield after + 1, _days(date(year, month, 1), following)
    elif found := _ORDINAL.fullmatch(reader.word(at + 1)):
        yield from _day_of(reader, reader.skip(at + 2, (",",)), month, int(found.group(1)))


def _day_of(reader: Reader, at: int, month: int, number: int) -> Iterator[tuple[int, Range]]:
    if _YEAR.fullmatch(reader.word(at)) and (day := _day(int(reader.word(at)), month, number)):
        yield at + 1, _days(day, day + timedelta(days=1))


def _quarter(reader: Reader, at: int) -> Iterator[tuple[int, Range]]:
    word, number, after = reader.word(at), 0, at
    if re.fullmatch(r"q[1-4]", word):
        number, after = int(word[1]), at + 1
    elif word in _QUARTERS and reader.word(at + 1) == "quarter":
        number, after = _QUARTERS[word], at + 2
    elif word in ("first", "second") and reader.word(at + 1) == "half":
        after = reader.skip(at + 2, ("of",))
        if _YEAR.fullmatch(reader.word(after)):
            year, late = int(reader.word(after)), word == "second"
            yield (
                after + 1,
                (f"{year}-07-01", f"{year + 1}-01-01")
                if late
                else (f"{year}-01-01", f"{year}-07-01"),
            )
        return
    after = reader.skip(after, ("of", "in"))
    if number and _YEAR.fullmatch(reader.word(after)):
        year = int(reader.word(after))
        end = date(year + number // 4, number % 4 * 3 + 1, 1)
        yield after + 1, _days(date(year, number * 3 - 2, 1), end)


def _relative(reader: Reader, at: int) -> Iterator[tuple[int, Range]]:
    """Times that depend on today; none when nobody said which day it is."""
    today = reader.world.today
    if today is None:
        return
    first = today.replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    for text, span in (
        ("this year", (date(today.year, 1, 1), date(today.year + 1, 1, 1))),
        ("last year", (date(today.year - 1, 1, 1), date(today.year, 1, 1))),
        ("this month", (first, after)),
        ("last month", (before, first)),
        ("today", (today, today + timedelta(days=1))),
        ("yesterday", (today - timedelta(days=1), today)),
    ):
        if end := reader.says(at, text):
            yield end, _days(*span)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _days(first: date, last: date) -> Range:
    return first.isoformat(), last.isoformat()
