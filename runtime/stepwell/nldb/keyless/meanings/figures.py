"""Questions for figures: what is counted or added up, and for each of what."""

from collections.abc import Callable
from functools import partial

from stepwell.nldb.keyless.builder import Builder, Unfit
from stepwell.nldb.keyless.frame import (
    ByCount,
    ByValue,
    Copies,
    Frame,
    Grouping,
    Measure,
    Metric,
    Money,
    Named,
    PerColumn,
    PerRole,
    PerTable,
    PerTime,
    Related,
    RowsOf,
    Sized,
)
from stepwell.nldb.keyless.meanings.choices import Choice, bound_to
from stepwell.nldb.keyless.meanings.conditions import Conditions
from stepwell.nldb.keyless.meanings.roots import copies_of, counted_columns, money_of
from stepwell.nldb.keyless.world import LABEL, ColumnName
from stepwell.nldb.link.names import is_key
from stepwell.nldb.plan.check import columns_of
from stepwell.nldb.plan.model import (
    Aggregate,
    Arithmetic,
    Col,
    Expression,
    Filter,
    Function,
    Order,
    Part,
    TimePart,
    Value,
)


class FiguresAsked(Conditions):
    """A question for figures over rows of the root."""

    def choices(self) -> list[list[Choice]]:
        """The meanings of every slot, and how the answer looks.

        Raises:
            Unfit: the slots do not fit this root.
        """
        counts = [slot for slot in self.frame.slots if isinstance(slot, ByCount)]
        if counts and counted_columns(self.frame) is None:
            raise Unfit("a count of counts")
        return [*self._shown(), *self.conditions()]  # what is grouped by is what they are about

    def _shown(self) -> list[list[Choice]]:
        frame = self.frame
        groups = self._groupings()
        if any(measure.function == "avg" for measure in frame.measures):
            groups = self._averaged(groups)
        made = [self._grouping(group) for group in groups]
        measures = frame.measures or tuple(
            Measure("count" if isinstance(s.target, RowsOf) else "sum", s.target)
            for s in frame.sortings
            if s.target is not None and isinstance(s.target, RowsOf | Money | Copies | Metric)
        )
        if not measures:
            measures = (Measure("count", RowsOf((self.root,))),)
        made += [self._measure(measure, bool(groups)) for measure in measures]
        made.append([Choice(lambda b: self._order_figures(b, len(measures)))])
        if frame.distinct and (groups or self._may_repeat(measures)):
            raise Unfit("it is not said what is different")
        return made

    def _averaged(self, groups: tuple[Grouping, ...]) -> tuple[Grouping, ...]:
        """The groups of an average: one for each of the rows that it is of is no group.

        Raises:
            Unfit: it may be one of the sums of the groups, or of parts of what was paid.
        """
        kept = tuple(g for g in groups if not (isinstance(g, PerTable) and self.root in g.tables))
        if isinstance(self.figure, Money | Copies):
            lines = [table for table, _, is_line in money_of(self.world) if is_line]
            if kept or self.root in lines or isinstance(self.figure, Copies):
                raise Unfit("an average of what, is not said")
        return kept

    def _may_repeat(self, measures: tuple[Measure, ...]) -> bool:
        """Whether something else is counted than rows, which are different by themselves."""
        return any(m.target != RowsOf((self.root,)) for m in measures)

    def _groupings(self) -> tuple[Grouping, ...]:
        """What was said to group by; whom a superlative asks for is a group as well."""
        frame = self.frame
        groups = list(frame.groups)
        sorted_by_figure = any(
            isinstance(s.target, RowsOf | Money | Copies | Metric) for s in frame.sortings
        )
        if counted_columns(frame) is not None and not groups:
            groups += [
                PerColumn(o.columns, filled=True) for o in frame.outputs if isinstance(o, Named)
            ]
            if len(groups) != 1:
                raise Unfit("one column is counted at a time")
        elif sorted_by_figure and not groups:
            if frame.subject and self.root not in frame.subject:
                self._refuse_sellers()
                groups.append(PerTable(frame.subject))
                if frame.outputs:
                    raise Unfit("columns besides a figure")
            elif frame.outputs and all(isinstance(o, Named) for o in frame.outputs):
                groups += [
                    PerColumn(o.columns, filled=True) for o in frame.outputs if isinstance(o, Named)
                ]
            elif frame.who:
                self._refuse_sellers()
                people = [
                    t
                    for t in self.world.catalog.tables
                    if self.world.is_person(t) and self.is_one(t) and t != self.root
                ]
                nearest = min(map(self.distance, people), default=0)
                groups.append(PerTable(tuple(t for t in people if self.distance(t) == nearest)))
            else:
                raise Unfit("nothing to group by")
        elif frame.outputs:
            raise Unfit("columns besides a figure")
        elif (
            frame.subject
            and self.root not in frame.subject
            and not self._is_mentioned(frame.subject)
        ):
            self._ask_for_subject()
        return tuple(groups)

    def _refuse_sellers(self) -> None:
        """Pieces are sold of things; who sold them, or bought most of what, is not told by words."""
        frame = self.frame
        people = frame.who or any(self.world.is_person(t) for t in frame.subject)
        deals = any(self.world.is_transaction(t) for t in _related(frame))
        if people and (
            isinstance(self.figure, Copies) or (deals and self.root not in _related(frame))
        ):
            raise Unfit("it is not said who did it")

    def _is_mentioned(self, tables: tuple[str, ...]) -> bool:
        if any(isinstance(g, PerTable) and set(g.tables) & set(tables) for g in self.frame.groups):
            return True
        return any(
            isinstance(slot, ByValue)
            and {h.table for hits in slot.hits for h in hits} & set(tables)
            for slot in self.frame.slots
        )

    def _ask_for_subject(self) -> None:
        """A figure is asked of one table while another is the subject: they must belong together."""
        if not all(self.is_one(t) for t in self.frame.subject):
            raise Unfit("the figure is of other rows")

    def _grouping(self, group: Grouping) -> list[Choice]:
        match group:
            case PerTime():
                return [self._per_time(group.part, t, c) for t, c in self.time_columns()]
            case PerColumn():
                return self._per_column(group)
            case PerTable():
                return self._per_table(group.tables)
            case PerRole():
                roles = [r for r in group.roles if self.is_one(r.table)]
                if len(roles) != 1 or len(self.paths(roles[0].table)) != 1:
                    raise Unfit("the role is that of others")
                way = (*self.paths(roles[0].table)[0], roles[0].edge)
                return [Choice(lambda b: self.group_rows(b, way))]

    def _per_time(self, part: TimePart, table: str, column: str) -> Choice:
        path = self.paths(table)[0]

        def apply(builder: Builder) -> None:
            of = builder.column(path, column)
            if part in ("month", "quarter", "day"):
                year = Part("year", of)
                builder.group.append(year)
                builder.output(year, "year")
                builder.order.append(Order(year))
            if part == "day":
                month = Part("month", of)
                builder.group.append(month)
                builder.output(month, "month")
                builder.order.append(Order(month))
            value = Part(part, of)
            builder.group.append(value)
            builder.output(value, part)
            builder.order.append(Order(value))

        return Choice(apply, 0, f"{part} of {table}.{column}")

    def _per_column(self, group: PerColumn) -> list[Choice]:
        near = [c for c in group.columns if self.is_one(c.table) and c.column != LABEL]
        if not near:
            raise Unfit("no such group")
        nearest = min(self.distance(c.table) for c in near)
        exact = [c for c in near if c.far == 0]
        nearest_exact = min((self.distance(c.table) for c in exact), default=99)
        kept = [c for c in near if self.distance(c.table) == nearest]
        kept += [c for c in exact if self.distance(c.table) == nearest_exact and c not in kept]
        return [self._grouped_by(c, filled=group.filled) for c in kept]

    def _grouped_by(self, name: ColumnName, *, filled: bool) -> Choice:
        path = self.paths(name.table)[0]

        def apply(builder: Builder) -> None:
            value = Col(builder.joined(path), name.column)
            builder.group.append(value)
            builder.output(value, name.column)
            if filled and self.world.column(name.table, name.column).nullable:
                builder.where.append(Filter(value, "is not null"))

        return Choice(apply, 0, f"for each {name.table}.{name.column}")

    def _per_table(self, tables: tuple[str, ...]) -> list[Choice]:
        nearest = min(map(self.distance, tables))
        made: list[Choice] = []
        for table in tables:
            if self.distance(table) != nearest or nearest == 0:
                continue
            for path in self.belonging(table):
                counts = (
                    all(isinstance(m.target, RowsOf) for m in self.frame.measures)
                    and not self.is_sum
                )
                if not all(edge.to_one for edge in path) and not counts:
                    raise Unfit("a sum for each of several")
                made.append(
                    Choice(
                        bound_to(lambda b, p: self.group_rows(b, p), path),
                        10 * nearest,
                        f"for each {table}{self.way(path)}",
                    )
                )
        return made

    def _measure(self, measure: Measure, grouped: bool) -> list[Choice]:
        function, target = measure.function, measure.target
        match target:
            case RowsOf():
                return [Choice(lambda b: b.output(self._rows_count(b), f"number of {self.bare}"))]
            case Money():
                return [
                    Choice(aggregated(function, value, f"{function} of {_told(value)}"), int(line))
                    for table, value, line in money_of(self.world)
                    if table == self.root
                ]
            case Copies():
                return [
                    Choice(partial(_pieces, value=Aggregate(function, value)))
                    for table, value in copies_of(self.world)
                    if table == self.root
                ]
            case Metric():
                return [
                    Choice(partial(Builder.output, value=metric.value, name=metric.name))
                    for metric in target.metrics
                    if metric.table == self.root
                ]
            case Named():
                return self._measured_column(function, target)
            case Sized():
                return [
                    self._measured_size(function, name, target.unit) for name in self.sized(target)
                ]

    def _rows_count(self, builder: Builder) -> Aggregate:
        joined = list(builder.select().joins) if builder.outputs else []
        many = any(not self._joins_one(join.to, join.table, join.on) for join in joined)
        if many:
            return self.count_of(self.root, builder.name, many=True)
        return Aggregate("count")

    def _joins_one(self, to: str, table: str, on: tuple[tuple[str, str], ...]) -> bool:
        return any(
            edge.to_one and edge.other == table and edge.on == on
            for edges in self.world.graph.edges.values()
            for edge in edges
        )

    def _measured_column(self, function: Function, target: Named) -> list[Choice]:
        own = [c for c in target.columns if c.table == self.root and c.column != LABEL]
        if function in ("sum", "avg"):
            own = [c for c in own if not self._is_identity(c)]
            numbers = {c.name for c in self.world.numbers(self.root)}
            own = [c for c in own if c.column in numbers]
        if not own:
            raise Unfit("this cannot be added up")
        return [
            Choice(
                aggregated(function, Col(self.bare, c.column), f"{function} of {c.column}"),
                0,
                f"{function} of {self.root}.{c.column}",
            )
            for c in self.best(own)
        ]

    def _is_identity(self, name: ColumnName) -> bool:
        return is_key(self.world.table(name.table), self.world.column(name.table, name.column))

    def _measured_size(self, function: Function, column: str, unit: int) -> Choice:
        def apply(builder: Builder) -> None:
            value: Expression = Aggregate(function, Col(builder.name, column))
            if unit:
                there = self.factor(self.root, column, unit)
                value = Arithmetic("/", value, Value(there))
            builder.output(value, f"{function} of {column}")

        return Choice(apply, 0, f"{function} of {self.root}.{column}")

    def _order_figures(self, builder: Builder, measures: int) -> None:
        frame = self.frame
        if not builder.group:
            if frame.sortings or frame.limit:
                raise Unfit("one row needs no order")
            return
        if (counted := counted_columns(frame)) is not None:
            figure = self._rows_count(builder)
            builder.having.append(Filter(figure, counted.comparison, (int(counted.number),)))
        for sorting in frame.sortings:
            if sorting.by_group:
                builder.order = [
                    Order(value, sorting.descending)
                    for value in builder.group
                    if _is_output(builder, value)
                ]
                continue
            if sorting.target is not None and isinstance(sorting.target, Sized):
                raise Unfit("groups have no size")
            builder.order = [Order(builder.outputs[-measures].value, sorting.descending)]
            if frame.limit and not sorting.descending:
                builder.assumptions.append(f"what has no row of {self.root} is left out")
        builder.limit, builder.ties = frame.limit, frame.limit is not None


def _pieces(builder: Builder, value: Expression) -> None:
    builder.output(value, "copies")
    builder.assumptions.append("what was sold twice counts twice")


def _told(value: Expression) -> str:
    """The columns that say what was paid."""
    return " * ".join(column.column for column in columns_of(value))


def _is_output(builder: Builder, value: Expression) -> bool:
    return any(output.value == value for output in builder.outputs)


def _related(frame: Frame) -> list[str]:
    return [table for slot in frame.slots if isinstance(slot, Related) for table in slot.tables]


def aggregated(function: Function, value: Expression, name: str) -> Callable[[Builder], None]:
    """Puts an aggregate into the answer."""
    return lambda builder: builder.output(Aggregate(function, value), name)
