"""Which table a question is about, and where it says what was paid and sold."""

from collections.abc import Sequence

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import (
    ByCount,
    ByNumber,
    ByTime,
    ByValue,
    Copies,
    Frame,
    Metric,
    Money,
    Named,
    Related,
    RowsOf,
    Sized,
    Target,
    Without,
)
from stepwell.nldb.keyless.world import Role, World
from stepwell.nldb.link.words import words_of_name
from stepwell.nldb.plan.model import (
    Arithmetic,
    Col,
    Expression,
)


def roots(frame: Frame, world: World) -> list[str]:
    """The tables that a question may be about."""
    target = figure_of(frame)
    if isinstance(target, RowsOf):
        return list(target.tables)
    if isinstance(target, Money):
        return [table for table, _, _ in money_of(world)]
    if isinstance(target, Copies):
        return [table for table, _ in copies_of(world)]
    if isinstance(target, Metric):
        return [metric.table for metric in target.metrics]
    if isinstance(target, Named):
        tables = list(dict.fromkeys(c.table for c in target.columns))
        wanted = [t for t in tables if t in frame.subject] or [
            t for t in tables if t in mentioned(frame)
        ]
        return wanted or tables
    if isinstance(target, Sized) and target.table:
        return list(target.table)
    if frame.subject:
        return list(frame.subject)
    if isinstance(target, Sized):
        sized = [t for t in world.catalog.tables if world.measuring(t, first_kind(target))]
        near = [t for t in mentioned(frame) if t in sized]
        return near or sized
    return _roots_without_subject(frame, world)


def first_kind(target: Sized) -> str:
    """What kind of column a size looks for."""
    return "amount" if target.kind == "money" else target.kind


def _roots_without_subject(frame: Frame, world: World) -> list[str]:
    found: list[str] = []
    if "contents" in frame.notes:
        for slot in frame.slots:
            if isinstance(slot, ByValue):
                found += _contents(world, slot.owner)
        return list(dict.fromkeys(found))
    for output in frame.outputs:
        found += [output.table] if isinstance(output, Role) else [c.table for c in output.columns]
    if not frame.outputs:
        for sorting in frame.sortings:
            if isinstance(sorting.target, Named):
                found += [c.table for c in sorting.target.columns]
            elif isinstance(sorting.target, Sized) and frame.who:
                found += [
                    t
                    for t in world.catalog.tables
                    if world.is_person(t) and world.measuring(t, sorting.target.kind)
                ]
        for slot in frame.slots:
            if isinstance(slot, ByNumber) and frame.anything:
                found += _tables_of(slot.target, world)
            elif isinstance(slot, ByTime) and frame.who:
                found += [c.table for c in slot.named]
    if frame.outputs and (valued := named_by_values(frame)):
        near = [t for t in found if t in valued]
        found = near or found
    return list(dict.fromkeys(found))


def named_by_values(frame: Frame) -> set[str]:
    """The tables that have a value of the question."""
    return {h.table for s in frame.slots if isinstance(s, ByValue) for hits in s.hits for h in hits}


def _contents(world: World, owners: Sequence[str]) -> list[str]:
    found: list[str] = []
    for owner in owners:
        for edge in world.graph.edges.get(owner, []):
            if not edge.to_one and world.is_junction(edge.other):
                found += [
                    e.other for e in world.graph.edges[edge.other] if e.to_one and e.other != owner
                ]
    return found if len(found) == 1 else []


def _tables_of(target: Named | Sized, world: World) -> list[str]:
    if isinstance(target, Named):
        return [c.table for c in target.columns]
    return [t for t in world.catalog.tables if world.measuring(t, first_kind(target))]


def mentioned(frame: Frame) -> list[str]:
    """The tables that were named, the subject first."""
    found = list(frame.subject)
    for slot in frame.slots:
        if isinstance(slot, Related | Without):
            found += slot.tables
        elif isinstance(slot, ByValue):
            found += [*slot.owner, *slot.near]
    return list(dict.fromkeys(found))


def figure_of(frame: Frame) -> Target | None:
    """What is counted or added up, in the answer or to sort by."""
    if frame.measures:
        return frame.measures[0].target
    if (counted := counted_columns(frame)) is not None:
        return counted.target
    for sorting in frame.sortings:
        if isinstance(sorting.target, RowsOf | Money | Copies | Metric):
            return sorting.target
    return None


def counted_columns(frame: Frame) -> ByCount | None:
    """`countries with more than five customers`: values of a column by the rows that have them."""
    counts = [slot for slot in frame.slots if isinstance(slot, ByCount)]
    if len(counts) == 1 and frame.outputs and not frame.subject and not frame.sortings:
        return counts[0] if isinstance(counts[0].target, RowsOf) else None
    return None


def money_of(world: World) -> list[tuple[str, Expression, bool]]:
    """Where it says what was paid: totals of whole deals, and price times quantity of lines."""
    found: list[tuple[str, Expression, bool]] = []
    for name in world.catalog.tables:
        numbers = list(world.numbers(name))
        words = {column.name: words_of_name(column.name) for column in numbers}
        totals = [n for n, said in words.items() if set(said) & english.MONEY_TOTALS]
        prices = [n for n, said in words.items() if set(said) & english.PRICES]
        counts = [n for n, said in words.items() if set(said) & english.QUANTITIES]
        bare = world.table(name).bare
        deals = _is_line(world, name)
        if world.is_transaction(name) and not deals and len(totals) == 1:
            found.append((name, Col(bare, totals[0]), False))
        elif len(prices) == 1 and len(counts) == 1 and (deals or world.is_transaction(name)):
            discounted = any("discount" in said for said in words.values())
            if not discounted:
                value = Arithmetic("*", Col(bare, prices[0]), Col(bare, counts[0]))
                found.append((name, value, True))
    return found


def _is_line(world: World, table: str) -> bool:
    return any(e.to_one and world.is_transaction(e.other) for e in world.graph.edges.get(table, []))


def copies_of(world: World) -> list[tuple[str, Expression]]:
    """Where it says how many pieces were sold."""
    found: list[tuple[str, Expression]] = []
    for name in world.catalog.tables:
        counts = [c for c in world.numbers(name) if set(words_of_name(c.name)) & english.QUANTITIES]
        if len(counts) == 1 and (_is_line(world, name) or world.is_transaction(name)):
            found.append((name, Col(world.table(name).bare, counts[0].name)))
    return found
