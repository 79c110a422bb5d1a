"""Conditions: numbers, times, what is empty, what belongs together."""

from collections.abc import Callable
from functools import partial

from stepwell.nldb.keyless.builder import Builder, Unfit
from stepwell.nldb.keyless.frame import (
    ByCount,
    ByFlag,
    ByNull,
    ByNumber,
    ByText,
    ByTime,
    ByValue,
    Named,
    PerTable,
    Related,
    Served,
    Sized,
    Slot,
    Without,
)
from stepwell.nldb.keyless.meanings.choices import Choice, bound_to
from stepwell.nldb.keyless.meanings.named import ByNames
from stepwell.nldb.keyless.meanings.roots import named_by_values
from stepwell.nldb.keyless.world import LABEL
from stepwell.nldb.link.paths import Path
from stepwell.nldb.plan.model import (
    AnyOf,
    Col,
    Comparison,
    Condition,
    Filter,
)


class Conditions(ByNames):
    """The meanings of every slot that is a condition."""

    def conditions(self) -> list[list[Choice]]:
        """The meanings of each condition that says more than the root does."""
        return [self.slot(slot) for slot in self.frame.slots if not self._is_said(slot)]

    def _is_said(self, slot: Slot) -> bool:
        """Whether a related table is the root itself."""
        if isinstance(slot, Related):
            return self.root in slot.tables
        return isinstance(slot, ByCount)

    def slot(self, slot: Slot) -> list[Choice]:
        """The meanings of a condition."""
        match slot:
            case ByValue():
                return self._by_value(slot)
            case ByNumber():
                return self._by_number(slot)
            case ByTime():
                return self._by_time(slot)
            case ByNull():
                return self._by_null(slot)
            case ByFlag():
                return self._by_flag(slot)
            case ByText():
                return self._by_text(slot)
            case Without():
                return self._without(slot)
            case Related():
                return self._related(slot)
            case Served():
                return self._served(slot)
            case ByCount():
                raise Unfit("a count is no condition of a row")

    def _by_number(self, slot: ByNumber) -> list[Choice]:
        made: list[Choice] = []
        for table, column in self._number_columns(slot.target):
            factor = self.factor(table, column, slot.unit)
            number = slot.number * factor
            value = int(number) if number == int(number) else number

            def apply(
                builder: Builder, path: Path, column: str = column, value: float = value
            ) -> None:
                builder.add(
                    path, lambda name: [Filter(Col(name, column), slot.comparison, (value,))]
                )

            made += self.reached(table, apply, 10 * self.distance(table), f"{table}.{column}")
        return made

    def _number_columns(self, target: Named | Sized) -> list[tuple[str, str]]:
        if isinstance(target, Named):
            nearest = min(self.distance(c.table) for c in target.columns)
            if nearest > 1:
                raise Unfit("no such number is near")
            near = [c for c in target.columns if self.distance(c.table) == nearest]
            return [(c.table, c.column) for c in self.best(near)]
        return [(self.root, column) for column in self.sized(target)]

    def _by_time(self, slot: ByTime) -> list[Choice]:
        if not slot.named and any(isinstance(s, Without | ByCount) for s in self.frame.slots):
            raise Unfit("the time may be that of what is missing or counted")
        made: list[Choice] = []
        for table, column in self.time_columns(slot.named):
            cost, place = 10 * self.distance(table), f"{table}.{column}"
            if not slot.negated:
                apply = partial(_put, conditions=partial(_within, column=column, slot=slot))
                if not slot.named and len(self.world.dates(table)) > 1:
                    apply = partial(_noted, apply=apply, note=f"the time is that of {place}")
                made += self.reached(table, apply, cost, f"{place} is in this time")
                continue
            apply = partial(_put, conditions=partial(_outside, column=column, slot=slot))
            made += self.reached(table, apply, cost, f"{place} is at another time")
            if self.world.column(table, column).nullable:
                empty = partial(_outside, column=column, slot=slot, or_empty=True)
                said = f"{place} is at another time, or is not given"
                made += self.reached(table, partial(_put, conditions=empty), cost, said)
        return made

    def _by_null(self, slot: ByNull) -> list[Choice]:
        own = [c for c in slot.columns if c.table == self.root and c.column != LABEL]
        if not own:
            raise Unfit("no such column can be empty")
        sign: Comparison = "is not null" if slot.negated else "is null"
        said = "is given" if slot.negated else "is not given"

        def made(column: str) -> Choice:
            return Choice(
                lambda b: b.where.append(Filter(Col(b.name, column), sign)),
                0,
                f"{self.root}.{column} {said}",
            )

        return [made(c.column) for c in own]

    def _by_flag(self, slot: ByFlag) -> list[Choice]:
        near = min(self.distance(c.table) for c in slot.columns)
        own = self.best([c for c in slot.columns if self.distance(c.table) == near])
        if len(own) != 1 or near > 1:
            raise Unfit("no such thing is said of these rows")
        name = own[0]
        known = self.world.column(name.table, name.column)
        value = not slot.negated if known.kind == "boolean" else int(not slot.negated)
        said = f"{name.table}.{name.column} is {'false' if slot.negated else 'true'}"

        def is_so(there: str) -> list[Condition]:
            return [Filter(Col(there, name.column), "=", (value,))]

        def is_so_or_empty(there: str) -> list[Condition]:
            empty = Filter(Col(there, name.column), "is null")
            return [AnyOf((*is_so(there), empty))]

        made = self.reached(name.table, lambda b, p: b.add(p, is_so), 10 * near, said)
        if slot.negated and known.nullable:
            made += self.reached(
                name.table,
                lambda b, p: b.add(p, is_so_or_empty),
                10 * near,
                f"{said}, or is not given",
            )
        return made

    def _by_text(self, slot: ByText) -> list[Choice]:
        own = [c.column for c in slot.columns if c.table == self.root and c.column != LABEL]
        names = own or (list(self.world.label(self.root)) if not slot.columns else [])
        if len(names) != 1:
            raise Unfit("it is not said of which text")
        found = Filter(Col(self.bare, names[0]), slot.comparison, (slot.text,))
        return [Choice(lambda b: b.where.append(found), 0, f"{names[0]} {slot.comparison}")]

    def _without(self, slot: Without) -> list[Choice]:
        made = [
            Choice(
                bound_to(Builder.without, path),
                10 * self.distance(table),
                f"without {table}{self.way(path)}",
            )
            for table in slot.tables
            for path in self.belonging(table)
        ]
        least = min(c.cost for c in made)
        return [c for c in made if c.cost == least]

    def _related(self, slot: Related) -> list[Choice]:
        near = min(self.distance(t) for t in slot.tables)
        made: list[Choice] = []
        for table in slot.tables:
            if self.distance(table) == near:
                if self._is_passed(table):
                    return [Choice(lambda _: None)]
                made += self.reached(
                    table, lambda b, p: b.add(p, lambda _: []), 10 * near, f"with {table}"
                )
        return made

    def _is_passed(self, table: str) -> bool:
        """Whether an optional join would not change anything, as a group or a sum is by it."""
        return any(isinstance(g, PerTable) and table in g.tables for g in self.frame.groups)

    def _served(self, slot: Served) -> list[Choice]:
        roles = [role for role in slot.roles if role.table == self.root]
        named = named_by_values(self.frame)
        if len(roles) != 1 or roles[0].other not in named | set(self.frame.subject):
            raise Unfit("nobody looks after these")
        return [Choice(lambda _: None)]


def _put(builder: Builder, path: Path, conditions: Callable[[str], list[Condition]]) -> None:
    builder.add(path, conditions)


def _noted(builder: Builder, path: Path, apply: Callable[[Builder, Path], None], note: str) -> None:
    apply(builder, path)
    builder.assumptions.append(note)


def _within(name: str, column: str, slot: ByTime) -> list[Condition]:
    bounds: tuple[tuple[Comparison, str], ...] = ((">=", slot.begin), ("<", slot.end))
    return [Filter(Col(name, column), sign, (day,)) for sign, day in bounds if day]


def _outside(name: str, column: str, slot: ByTime, *, or_empty: bool = False) -> list[Condition]:
    bounds: tuple[tuple[Comparison, str], ...] = (("<", slot.begin), (">=", slot.end))
    kept = [Filter(Col(name, column), sign, (day,)) for sign, day in bounds if day]
    if or_empty:
        kept.append(Filter(Col(name, column), "is null"))
    return [AnyOf(tuple(kept))] if len(kept) > 1 else list(kept)
