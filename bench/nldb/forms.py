"""A plan as a model would fill it in: what `stepwell.nldb.plan.filled` makes of it is the plan again."""

from collections.abc import Iterable

import msgspec

from stepwell.nldb.plan.form import Entry, Form, How, Pair, Set, Shown, Sorted, Where
from stepwell.nldb.plan.model import (
    Aggregate,
    AnyOf,
    Arithmetic,
    Col,
    Condition,
    Delete,
    Exists,
    Expression,
    Filter,
    Insert,
    Join,
    Part,
    Plan,
    Select,
    Update,
    Value,
)
from stepwell.quoting import quoted


def form_of(plan: Plan) -> Form:
    """The form that means the plan."""
    writer = _Writer()
    match plan:
        case Select():
            return writer.select(plan, Form(verb="select"))
        case Insert():
            begun = Form(verb="insert", changes=plan.table, columns=plan.columns, rows=plan.rows)
            return begun if plan.select is None else writer.select(plan.select, begun)
        case Update():
            changes = tuple(
                Set(one.column, one.value.value)
                if isinstance(one.value, Value)
                else Set(one.column, None, text_of(one.value))
                for one in plan.set
            )
            writer.conditions(plan.where, "")
            return Form(
                verb="update",
                changes=plan.table,
                tables=tuple(writer.tables),
                set=changes,
                where=tuple(writer.where),
            )
        case Delete():
            writer.conditions(plan.where, "")
            return Form(
                verb="delete",
                changes=plan.table,
                tables=tuple(writer.tables),
                where=tuple(writer.where),
            )


class _Writer:
    def __init__(self) -> None:
        self.tables: list[Entry] = []
        self.where: list[Where] = []
        self._labels = 0

    def select(self, plan: Select, begun: Form) -> Form:
        """The form that has been begun, with what a question reads."""
        self.tables.append(Entry(table=plan.table, name=plan.name))
        for join in plan.joins:
            self._join(join, "outer join" if join.outer else "join", "")
        self.conditions(plan.where, "")
        self.conditions(plan.having, "")
        return msgspec.structs.replace(
            begun,
            tables=tuple(self.tables),
            outputs=tuple(Shown(text_of(one.value), one.name) for one in plan.outputs),
            where=tuple(self.where),
            group=tuple(map(text_of, plan.group)),
            order=tuple(Sorted(text_of(one.value), one.descending) for one in plan.order),
            limit=plan.limit or 0,
            ties=plan.ties,
            distinct=plan.distinct,
        )

    def conditions(self, conditions: Iterable[Condition], label: str) -> None:
        """Adds conditions, with the label of the alternatives that they are among."""
        for condition in conditions:
            match condition:
                case Filter():
                    self.where.append(
                        Where(
                            value=text_of(condition.left),
                            comparison=condition.comparison,
                            values=condition.values,
                            ignore_case=condition.ignore_case,
                            any=label,
                        )
                    )
                case AnyOf():
                    assert not label, "a form has no alternatives within alternatives"
                    self._labels += 1
                    self.conditions(condition.conditions, f"any {self._labels}")
                case Exists():
                    how: How = "not exists" if condition.negated else "exists"
                    self._join(condition.first, how, label)
                    for join in condition.joins:
                        self._join(join, "join", "")
                    self.conditions(condition.where, "")

    def _join(self, join: Join, how: How, label: str) -> None:
        pairs = tuple(
            Pair(text_of(Col(join.to, theirs)), text_of(Col(join.name, own)))
            for theirs, own in join.on
        )
        self.tables.append(Entry(table=join.table, name=join.name, how=how, on=pairs, any=label))


def text_of(value: Expression) -> str:
    """An expression as text."""
    match value:
        case Value():
            return str(value.value)
        case Col():
            return f"{quoted(value.table)}.{quoted(value.column)}"
        case Part():
            return f"{value.part}({text_of(value.of)})"
        case Arithmetic():
            return f"({text_of(value.left)} {value.operator} {text_of(value.right)})"
        case Aggregate():
            of = "*" if value.of is None else text_of(value.of)
            function, _, distinct = value.function.partition(" ")
            return f"{function}({f'{distinct} {of}'.strip()})"
