"""What is asked: a number, a sum, an average, a day."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByCount,
    Copies,
    Frame,
    Measure,
    Metric,
    Money,
    Named,
    RowsOf,
    Sized,
    Sorting,
    Target,
)
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.dated import dated
from stepwell.nldb.keyless.rules.figures import functions, targets
from stepwell.nldb.keyless.rules.orders import sorted_by
from stepwell.nldb.keyless.rules.step import Step
from stepwell.nldb.plan.model import Function


def how_many(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`how many albums`, `number of tracks`, `how many is it for each`."""
    end = reader.says(
        at,
        "how many",
        "number of",
        "the number of",
        "count",
        "count of",
        "what number of",
        "total number of",
        "overall number of",
    )
    if not end:
        return
    if each := for_each_of_them(reader, end):
        if frame.measures or any(isinstance(s, ByCount) for s in frame.slots) or frame.sortings:
            yield each, replace(frame, with_measure=True)
        return
    after = reader.skip(end)
    distinct = False
    if reader.word(after) in ("different", "distinct", "unique"):
        after, distinct = after + 1, True
    if (unit := reader.duration(after)) and reader.word(at) == "how":
        target = Sized("duration", unit[1])
        yield from measured(frame, unit[0], Measure("sum", target))
    for stop, named in reader.columns(after):
        numbers = Named(tuple(c for c in named.columns if not reader.world.is_text(c)))
        if numbers.columns:
            if not distinct and not reader.tables(after):
                yield from measured(frame, stop, Measure("sum", numbers))
            continue
        if distinct or (named.plural and not reader.tables(after)):
            yield from measured(frame, stop, Measure("count distinct", named))
    for stop, tables, _ in reader.tables(after):
        if frame.subject or frame.ask:
            yield from measured(frame, stop, Measure("count", RowsOf(tables)))
            continue
        yield (
            stop,
            replace(
                frame,
                ask="count",
                subject=tables,
                near=tables,
                distinct=frame.distinct or distinct,
                last="subject",
            ),
        )
    if stop := reader.says(after, "copies", "units", "pieces", "copies of", "units of"):
        yield from measured(frame, stop, Measure("sum", Copies()))
    if not frame.subject and not frame.ask:
        yield end, replace(frame, ask="count", last="ask")


def measured(frame: Frame, end: int, measure: Measure) -> Iterator[Step]:
    """The frame with one figure more, or with one that it has already."""
    if is_beside(frame):
        return
    if measure in frame.measures:
        yield end, replace(frame, with_measure=True, last="measure")
    elif frame.ask in ("", "measure"):
        yield (
            end,
            replace(frame, ask="measure", measures=(*frame.measures, measure), last="measure"),
        )
    elif frame.ask in ("list", "count"):
        return


def is_beside(frame: Frame) -> bool:
    """Whether a figure stands right beside rows that are listed: `albums, number of tracks`.

    It would be one for each of them then, and not one of all.
    """
    is_next = frame.last.startswith("and:") or frame.last in ("subject", "output")
    return is_next and bool(frame.subject) and frame.ask in ("", "list") and not frame.measures


def for_each_of_them(reader: Reader, at: int) -> int:
    """The end of `is it in each`, as it comes after `how much`."""
    stop = reader.skip(
        at, ("is", "it", "are", "there", "was", "that", "does", "do", "they", "have", "did", "we")
    )
    if end := reader.says(
        stop, "for each", "in each", "per each", "from each", "each", "for each one", "each of them"
    ):
        return end
    return 0


def how_much(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`how much`, of what a later word says."""
    if not (end := reader.says(at, "how much", "how much money")):
        return
    if each := for_each_of_them(reader, end):
        if frame.measures or frame.sortings:
            yield each, replace(frame, with_measure=True)
        return
    if frame.ask in ("", "list"):
        yield end, replace(frame, ask="measure", much=True, last="ask")


def money_verb(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """What was spent, billed, earned."""
    word = reader.word(at)
    if word not in english.SPEND and word not in english.BILL:
        return
    if word in english.SPEND and frame.subject and (found := reader.comparison(at + 1)):
        place = reader.skip(found[0], ("$",))
        if number := reader.number(place):
            end = reader.skip(number[0], (*english.MONEY_UNITS, "in", "total"))
            slot = ByCount(Money(word), found[1], number[1])
            yield end, replace(frame, slots=(*frame.slots, slot), last="slot")
    function: Function = "avg" if "average" in frame.notes else "sum"
    if frame.much and not frame.measures:
        yield (
            at + 1,
            replace(
                frame,
                measures=(Measure(function, Money(word)),),
                notes=tuple(n for n in frame.notes if n != "average"),
                last="measure",
            ),
        )
    if word in english.SPEND:
        for text, most in (
            ("the most", True),
            ("most", True),
            ("the least", False),
            ("least", False),
        ):
            if end := reader.says(at + 1, text, text + " money"):
                yield end, sorted_by(frame, Sorting(Money(word), most), 1)


def worth(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`worth`, `cost`: the money in a column of what is asked about."""
    if (
        reader.word(at) in ("worth", "cost", "costs", "costing")
        and frame.much
        and not frame.measures
    ):
        function = "avg" if "average" in frame.notes else None
        notes = tuple(n for n in frame.notes if n != "average")
        if function == "avg":
            yield (
                at + 1,
                replace(
                    frame, measures=(Measure("avg", Sized("money")),), notes=notes, last="measure"
                ),
            )


def on_average(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`on average`, before or after what it is of."""
    if end := reader.says(at, "on average", "on the average"):
        if frame.measures and frame.measures[-1].function == "sum":
            last = Measure("avg", frame.measures[-1].target)
            yield end, replace(frame, measures=(*frame.measures[:-1], last))
        elif not frame.measures:
            yield end, replace(frame, notes=(*frame.notes, "average"))


def revenue(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """A metric of the glossary, or a word for what was taken in."""
    for end, figure in reader.figures(at):
        yield from a_figure(frame, end, figure)
        return
    if (end := reader.says(at, *english.REVENUE)) and not reader.tables(at):
        function: Function = "avg" if "average" in frame.notes else "sum"
        measure = Measure(function, Money(reader.text(at, end)))
        if frame.measures and measure in frame.measures:
            yield end, frame
        elif frame.ask in ("", "measure") and (not frame.subject or frame.much or frame.groups):
            yield (
                end,
                replace(
                    frame,
                    ask="measure",
                    measures=(*frame.measures, measure),
                    notes=(),
                    last="measure",
                ),
            )


def a_figure(frame: Frame, end: int, figure: Metric) -> Iterator[Step]:
    """The frame with a metric of the glossary."""
    measure = Measure("sum", figure)
    if frame.ask in ("", "measure"):
        yield (
            end,
            replace(frame, ask="measure", measures=(*frame.measures, measure), last="measure"),
        )


def in_unit(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`in minutes`, after a duration was asked for."""
    if reader.word(at) != "in" or not frame.measures or not (unit := reader.duration(at + 1)):
        return
    measures = tuple(
        Measure(m.function, Sized("duration", unit[1])) if may_be_duration(reader, m.target) else m
        for m in frame.measures
    )
    if measures != frame.measures:
        yield unit[0], replace(frame, measures=measures)


def may_be_duration(reader: Reader, target: Target) -> bool:
    """Whether a target can be told in units of time."""
    if isinstance(target, Named):
        found = [c for c in target.columns if not reader.world.is_text(c)]
        return any(
            reader.world.duration_unit(reader.world.column(c.table, c.column)) for c in found
        )
    return isinstance(target, Sized) and target.kind == "duration"


def when(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`When was X hired`: the column of the verb is what is asked for."""
    if reader.word(at) == "when" and not frame.ask and not frame.subject:
        yield at + 1, replace(frame, ask="when", lead="when")
    if frame.ask == "when" and not frame.outputs and (verb := dated(reader, at)):
        yield verb[0], replace(frame, outputs=(Named(verb[1]),), last="output")


def aggregate(reader: Reader, at: int, frame: Frame) -> Iterator[Step]:
    """`the average price`, `the lowest and the highest price`."""
    found, end = functions(reader, at)
    if not found or frame.ask == "count":
        return
    if is_beside(frame) and (reader.tokens[at - 1].is_mark or reader.word(at - 1) == "and"):
        return
    ordering = (
        bool(frame.subject or "which time" in frame.notes)
        and frame.ask != "measure"
        and found[0] in ("min", "max")
    )
    for stop, target in targets(
        reader, reader.skip(end, ("the", "of", "our", "a", "an", "all")), found[0]
    ):
        if ordering:
            if len(found) == 1:
                yield stop, sorted_by(frame, Sorting(target, found[0] == "max"), 1)
            continue
        measures = tuple(Measure(function, target) for function in found)
        if frame.ask in ("", "measure"):
            yield (
                stop,
                replace(
                    frame, ask="measure", measures=(*frame.measures, *measures), last="measure"
                ),
            )
