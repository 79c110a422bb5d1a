"""Questions for rows: what is shown of them, and in which order."""

from functools import partial

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.builder import Builder, Unfit
from stepwell.nldb.keyless.frame import (
    ByCount,
    ByValue,
    Money,
    Named,
    Sized,
    Target,
)
from stepwell.nldb.keyless.meanings.choices import Choice, bound_to
from stepwell.nldb.keyless.meanings.conditions import Conditions
from stepwell.nldb.keyless.meanings.roots import money_of
from stepwell.nldb.keyless.world import LABEL, Role
from stepwell.nldb.link.names import foreign_columns, noun
from stepwell.nldb.link.paths import Path
from stepwell.nldb.plan.model import (
    Aggregate,
    Col,
    Filter,
    Order,
)


class RowsAsked(Conditions):
    """A question for rows of the root."""

    def choices(self) -> list[list[Choice]]:
        """The meanings of every slot, and how the answer looks.

        Raises:
            Unfit: the slots do not fit this root.
        """
        return [*self.conditions(), *self._shown()]

    def _shown(self) -> list[list[Choice]]:
        frame = self.frame
        if frame.groups or frame.ask == "measure":
            raise Unfit("groups without a figure")
        if frame.who and not (
            self.world.is_person(self.root) or self._has_maker() or frame.outputs
        ):
            raise Unfit("nobody is asked for")
        made: list[list[Choice]] = []
        counts = [slot for slot in frame.slots if isinstance(slot, ByCount)]
        if counts:
            if len(counts) > 1 or frame.sortings or frame.outputs:
                raise Unfit("more than one count")
            return [self._by_count(counts[0])]
        made += [self._output(output) for output in frame.outputs]
        first = "column first" in frame.notes
        made.append(
            [Choice(lambda b: self._default_outputs(b, only=bool(frame.outputs), first=first))]
        )
        made += [
            self._sorting(sorting.target, sorting.descending, sorting.by_group)
            for sorting in frame.sortings
        ]
        return made

    def _has_maker(self) -> bool:
        return bool(set(noun(self.bare)) & (english.CREATORS | english.PEOPLE))

    def _default_outputs(self, builder: Builder, *, only: bool, first: bool) -> None:
        frame = self.frame
        builder.limit, builder.ties = frame.limit, frame.limit is not None
        measured = only and self._tells_measures(builder)
        if only and first and frame.ask != "when" and not measured:
            named = self._is_named()
            names = {Col(builder.name, column) for column in self.world.label(self.root)}
            only_names = all(output.value in names for output in builder.outputs)
            if not named and not frame.sortings and not only_names:
                builder.distinct = True
                for output in builder.outputs:
                    builder.where.append(Filter(output.value, "is not null"))
        if frame.distinct:
            builder.distinct = True
        if only and (first or not frame.subject) and not measured:
            return
        label = self.world.label(self.root)
        before = list(builder.outputs)
        builder.outputs.clear()
        for column in label:
            builder.output(Col(builder.name, column), column)
        if not label and not only:
            table = self.world.table(self.root)
            for own in table.columns:
                if own.name not in foreign_columns(table):
                    builder.output(Col(builder.name, own.name), own.name)
        for output in before:
            builder.output(output.value, output.name)

    def _is_named(self) -> bool:
        """Whether the rows are meant by their names, and not by something about them."""
        label = set(self.world.label(self.root))
        return any(
            hit.table == self.root and set(hit.columns) <= label
            for slot in self.frame.slots
            if isinstance(slot, ByValue)
            for hits in slot.hits
            for hit in hits
        )

    def _tells_measures(self, builder: Builder) -> bool:
        """Whether numbers or days of several rows are told, which say nothing without a name."""
        frame = self.frame
        if not (frame.subject and frame.subject_plural) or frame.lead == "which" or frame.sortings:
            return False
        columns = [o.value for o in builder.outputs if isinstance(o.value, Col)]
        return any(
            column.table == builder.name
            and self.world.column(self.root, column.column).kind != "text"
            for column in columns
        )

    def _output(self, output: Named | Role | Sized) -> list[Choice]:
        if isinstance(output, Role):
            return self._role_output(output)
        if isinstance(output, Sized):
            return [self._column_output(self.root, name) for name in self.sized(output)]
        own = [c for c in output.columns if c.table == self.root]
        found = self.best(own) or self.best(
            [c for c in output.columns if self.is_one(c.table) and self.distance(c.table) == 1]
        )
        if not found:
            raise Unfit("no such column is here")
        return [self._column_output(c.table, c.column) for c in found]

    def _column_output(self, table: str, column: str) -> Choice:
        path = self.paths(table)[0]
        if len(self.paths(table)) > 1:
            raise Unfit("several ways lead there")
        names = self.world.label(table) if column == LABEL else (column,)

        def apply(builder: Builder) -> None:
            for name in names:
                builder.output(builder.column(path, name), name)

        return Choice(apply, 0, f"{table}.{' '.join(names)}")

    def _role_output(self, role: Role) -> list[Choice]:
        if role.table != self.root:
            raise Unfit("the role is that of others")
        label = self.world.label(role.other)
        if not label:
            raise Unfit("the other has no name")

        def apply(builder: Builder) -> None:
            for name in label:
                builder.output(builder.column((role.edge,), name), name)

        return [Choice(apply)]

    def _sorting(self, target: Target | None, descending: bool, by_group: bool) -> list[Choice]:
        if target is None:
            if not by_group:
                raise Unfit("sorted by nothing")
            label = self.world.label(self.root)
            if not label:
                raise Unfit("there are no names to sort by")
            return [
                Choice(
                    lambda b: b.order.extend(
                        Order(Col(b.name, c), descending) for c in label[-1:] + label[:-1]
                    )
                )
            ]
        if isinstance(target, Named):
            own = self.best([c for c in target.columns if c.table == self.root])
            names = [c.column for c in own if c.column != LABEL]
        elif isinstance(target, Sized):
            names = self.sized(target)
        else:
            names = []
        if not names:
            raise Unfit("nothing to sort by")
        return [self._ordered(name, descending) for name in names]

    def _ordered(self, column: str, descending: bool) -> Choice:
        def apply(builder: Builder) -> None:
            value = Col(builder.name, column)
            builder.order.append(Order(value, descending))
            if builder.limit == 1 and all(output.value == value for output in builder.outputs):
                builder.ties = False  # the highest price is one, however many have it
            if self.frame.limit:
                builder.where.append(Filter(value, "is not null"))

        return Choice(apply, 0, f"sorted by {self.root}.{column}")

    def _by_count(self, slot: ByCount) -> list[Choice]:
        if isinstance(slot.target, Money):
            return self._by_sum(slot)
        made: list[Choice] = []
        near = min(self.distance(t) for t in slot.target.tables)
        for table in slot.target.tables:
            if self.distance(table) != near or near == 0:
                continue
            having = partial(self._having, table=table, slot=slot)
            said = f"number of {table}"
            made += [
                Choice(bound_to(having, path), 0, said + self.way(path))
                for path in self.belonging(table)
            ]
        return made

    def _by_sum(self, slot: ByCount) -> list[Choice]:
        """Rows that paid so much, by the totals of their own deals."""
        made: list[Choice] = []
        for table, value, is_line in money_of(self.world):
            if not is_line and isinstance(value, Col):
                for path in self.paths(table):
                    if len(path) == 1 and not path[0].to_one:
                        having = partial(self._having_paid, column=value.column, slot=slot)
                        made.append(
                            Choice(bound_to(having, path), 0, f"sum of {table}.{value.column}")
                        )
        if not made:
            raise Unfit("it is not told what they paid")
        return made

    def _having_paid(self, builder: Builder, path: Path, column: str, slot: ByCount) -> None:
        paid = Aggregate("sum", Col(builder.joined(path), column))
        self.group_rows(builder, ())
        number = int(slot.number) if slot.number == int(slot.number) else slot.number
        builder.having.append(Filter(paid, slot.comparison, (number,)))
        builder.output(paid, f"sum of {column}")

    def _having(self, builder: Builder, path: Path, table: str, slot: ByCount) -> None:
        if path[0].to_one:
            raise Unfit("there is only one of them")
        least = slot.comparison in ("<", "<=") or (slot.comparison == "=" and slot.number == 0)
        name = builder.joined(path, outer=least)
        count = self.count_of(table, name, many=len(path) > 1 or least)
        self.group_rows(builder, ())
        builder.having.append(Filter(count, slot.comparison, (int(slot.number),)))
        builder.output(count, f"number of {self.world.table(table).bare}")
