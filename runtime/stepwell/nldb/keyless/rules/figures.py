"""Aggregates and what they are of."""

from collections.abc import Iterator

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    Money,
    Named,
    RowsOf,
    Sized,
    Target,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.plan.model import Function


def functions(reader: Reader, at: int) -> tuple[list[Function], int]:
    """`the lowest and the highest`: one or more aggregates, and where they end."""
    found: list[Function] = []
    end = at
    while True:
        words: tuple[tuple[Function, tuple[str, ...]], ...] = (
            ("avg", english.AVERAGE), ("sum", english.TOTAL), ("max", english.HIGHEST), ("min", english.LOWEST),
        )  # fmt: skip
        best: tuple[int, Function] | None = None
        for function, texts in words:
            if stop := reader.says(end, *texts):
                best = max(best or (0, function), (stop, function))
        if best is None:
            return found, at if not found else end
        found.append(best[1])
        end = best[0]
        further = reader.skip(end, ("and", ",", "the"))
        if further == end or not any(reader.says(further, *texts) for _, texts in words):
            return found, end
        end = further


def targets(reader: Reader, at: int, function: Function) -> Iterator[tuple[int, Target]]:
    """What an aggregate may be of, with where each ends."""
    for end, figure in reader.figures(at):
        yield end, figure
    for end, named in reader.columns(at):
        yield end, named
    if (end := reader.says(at, *english.DURATION_NOUNS)) and not reader.columns(at):
        yield end, Sized("duration")
    for end, tables, _ in reader.tables(at):
        for stop, named in reader.columns(end):
            own = tuple(c for c in named.columns if c.table in tables)
            if own:
                yield stop, Named(own)
        if stop := reader.says(end, *english.DURATION_NOUNS):
            yield stop, Sized("duration", table=tables)
        if (stop := reader.says(end, "value", "worth", "amount", "total")) and not reader.columns(
            end
        ):
            yield stop, Sized("money", table=tables)
        if function in ("sum", "avg") and all(reader.world.is_transaction(t) for t in tables):
            yield end, Sized("money", table=tables)
        if function == "sum" and reader.says(at - 2, "number of"):
            yield end, RowsOf(tables)
    if (end := reader.says(at, *english.REVENUE, *english.SPENDING)) and not reader.tables(at):
        yield end, Money(reader.text(at, end))
