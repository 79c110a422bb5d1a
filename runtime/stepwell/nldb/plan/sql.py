"""SQL of a plan, for both dialects: every name quoted, every value bound."""

from msgspec import Struct
from sqlglot import exp

from stepwell.nldb.model import Catalog, Dialect, Kind
from stepwell.nldb.plan.check import check
from stepwell.nldb.plan.model import (
    Aggregate,
    AnyOf,
    Arithmetic,
    Assignment,
    Col,
    Condition,
    Delete,
    Exists,
    Expression,
    Filter,
    Insert,
    InvalidPlan,
    Join,
    Part,
    Plan,
    Scalar,
    Select,
    Update,
    Value,
)

_COMPARISONS: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
_OPERATORS: dict[str, type[exp.Binary]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div}
_STRFTIME = {"year": "%Y", "month": "%m", "day": "%d"}


class Compiled(Struct, frozen=True):
    """A statement with its parameters by name, written `:p1` in the text."""

    sql: str
    parameters: dict[str, Scalar]
    tree: exp.Expr


def compile_plan(plan: Plan, catalog: Catalog) -> Compiled:
    """The plan as SQL in the catalog's dialect.

    Raises:
        InvalidPlan: it does not fit the catalog.
    """
    check(plan, catalog)
    compiler = _Compiler(catalog)
    tree = compiler.statement(plan)
    return Compiled(_text(tree, catalog.dialect), compiler.parameters, tree)


def compile_lookup(plan: Insert, catalog: Catalog) -> Compiled:
    """The question of an insert that says which rows it adds.

    Raises:
        InvalidPlan: the insert does not fit the catalog, or has no question.
    """
    check(plan, catalog)
    if plan.select is None:
        raise InvalidPlan("the insert has its rows, and no question that gives them")
    compiler = _Compiler(catalog)
    tree = compiler.select(plan.select)
    return Compiled(_text(tree, catalog.dialect), compiler.parameters, tree)


def _text(tree: exp.Expr, dialect: Dialect) -> str:
    """The SQL; a parameter is `:p1` in every dialect."""
    written = tree.transform(
        lambda node: exp.var(f":{node.this}") if isinstance(node, exp.Placeholder) else node
    )
    return written.sql(dialect=dialect)


class _Compiler:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._dialect: Dialect = catalog.dialect
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._written = ("", "")
        """The table that is changed, and how its columns are qualified."""
        self.parameters: dict[str, Scalar] = {}

    def statement(self, plan: Plan) -> exp.Expr:
        match plan:
            case Select():
                return self.select(plan)
            case Insert():
                return self._insert(plan)
            case Update():
                self._write(plan.table)
                return exp.Update(
                    this=self._table(plan.table),
                    expressions=[self._assignment(plan.table, one) for one in plan.set],
                    where=exp.Where(this=self._all(plan.where)),
                )
            case Delete():
                self._write(plan.table)
                return exp.Delete(
                    this=self._table(plan.table), where=exp.Where(this=self._all(plan.where))
                )

    def select(self, plan: Select) -> exp.Select:
        self._know(plan.table, plan.name)
        for join in plan.joins:
            self._know(join.table, join.name)
        query = exp.Select().from_(self._table(plan.table, plan.name))
        for join in plan.joins:
            joined = self._table(join.table, join.name)
            if join.on:
                query = query.join(
                    joined, on=self._on(join), join_type="left" if join.outer else ""
                )
            else:
                query = query.join(joined, join_type="cross")
        query = query.select(
            *(exp.alias_(self.value(o.value), o.name, quoted=True) for o in plan.outputs)
        )
        if plan.where:
            query = query.where(self._all(plan.where))
        if plan.group:
            query = query.group_by(*(self.value(one) for one in plan.group))
        if plan.having:
            query = query.having(self._all(plan.having))
        order = exp.Order(expressions=[self._order(o.value, o.descending) for o in plan.order])
        if plan.ties:
            return self._with_ties(query, order, plan)
        if plan.order:
            query.set("order", order)
        if plan.limit is not None:
            query = query.limit(plan.limit)
        return query.distinct() if plan.distinct else query

    def _with_ties(self, query: exp.Select, order: exp.Order, plan: Select) -> exp.Select:
        """SQLite has no FETCH FIRST WITH TIES: both dialects rank."""
        place = next(
            f"place{'_' * n}"
            for n in range(99)
            if f"place{'_' * n}" not in {o.name for o in plan.outputs}
        )
        rank = exp.Window(this=exp.Anonymous(this="RANK"), order=order)
        ranked = query.select(exp.alias_(rank, place, quoted=True)).subquery("ranked")
        bound = exp.LTE(
            this=exp.column(place, quoted=True), expression=exp.Literal.number(plan.limit)
        )
        shown = [exp.column(output.name, quoted=True) for output in plan.outputs]
        return (
            exp.Select()
            .select(*shown)
            .from_(ranked)
            .where(bound)
            .order_by(exp.column(place, quoted=True))
        )

    def _order(self, value: Expression, descending: bool) -> exp.Ordered:
        return exp.Ordered(this=self.value(value), desc=descending, nulls_first=False)

    def _insert(self, plan: Insert) -> exp.Insert:
        columns = [exp.to_identifier(name, quoted=True) for name in plan.columns]
        target = exp.Schema(this=self._table(plan.table), expressions=columns)
        source: exp.Expr
        if plan.select is not None:
            source = self.select(plan.select)
        else:
            kinds: list[Kind] = [self._kind(plan.table, name) for name in plan.columns]
            source = exp.Values(
                expressions=[
                    exp.Tuple(
                        expressions=[self._bound(value, kinds[at]) for at, value in enumerate(row)]
                    )
                    for row in plan.rows
                ]
            )
        return exp.Insert(this=target, expression=source)

    def _assignment(self, table: str, one: Assignment) -> exp.Expr:
        column = exp.column(exp.to_identifier(one.column, quoted=True))
        value = one.value
        if isinstance(value, Value):
            return exp.EQ(
                this=column, expression=self._bound(value.value, self._kind(table, one.column))
            )
        return exp.EQ(this=column, expression=self.value(value))

    def _write(self, table: str) -> None:
        self._know(table, table)
        self._written = (table, self._catalog.tables[table].bare)

    def _know(self, table: str, name: str) -> None:
        for column in self._catalog.tables[table].columns:
            self._kinds[name, column.name] = column.kind

    def _kind(self, table: str, column: str) -> Kind:
        return next(c.kind for c in self._catalog.tables[table].columns if c.name == column)

    def _table(self, table: str, name: str = "") -> exp.Expr:
        known = self._catalog.tables[table]
        foreign = known.schema if known.schema != self._catalog.default_schema else None
        made = exp.table_(known.bare, db=foreign, quoted=True)
        return (
            exp.alias_(made, name, quoted=True, table=True) if name and name != known.bare else made
        )

    def _on(self, join: Join) -> exp.Expr:
        pairs = [
            exp.EQ(this=self._column(join.to, theirs), expression=self._column(join.name, own))
            for theirs, own in join.on
        ]
        return exp.and_(*pairs)

    def _column(self, table: str, column: str) -> exp.Column:
        written, bare = self._written
        return exp.column(column, table=bare if table == written else table, quoted=True)

    def _all(self, conditions: tuple[Condition, ...] | tuple[Filter, ...]) -> exp.Expr:
        return exp.and_(*(self._condition(one) for one in conditions))

    def _condition(self, condition: Condition) -> exp.Expr:
        match condition:
            case Filter():
                return self._filter(condition)
            case AnyOf():
                return exp.paren(exp.or_(*(self._condition(c) for c in condition.conditions)))
            case Exists():
                return self._exists(condition)

    def _exists(self, condition: Exists) -> exp.Expr:
        first = condition.first
        self._know(first.table, first.name)
        query = exp.Select().select("1").from_(self._table(first.table, first.name))
        for join in condition.joins:
            self._know(join.table, join.name)
            query = query.join(self._table(join.table, join.name), on=self._on(join))
        query = query.where(self._on(first))
        if condition.where:
            query = query.where(self._all(condition.where))
        found = exp.Exists(this=query)
        return exp.Not(this=found) if condition.negated else found

    def _filter(self, condition: Filter) -> exp.Expr:
        left = self.value(condition.left)
        match condition.comparison:
            case "is null":
                return exp.Is(this=left, expression=exp.null())
            case "is not null":
                return exp.Not(this=exp.Is(this=left, expression=exp.null()))
            case "contains" | "starts" | "ends":
                return self._like(left, condition)
        kind = self._kind_of(condition.left)
        values = [self._bound(value, kind) for value in condition.values]
        if condition.ignore_case:
            left, values = exp.Lower(this=left), [exp.Lower(this=value) for value in values]
        if len(values) > 1:
            among = exp.In(this=left, expressions=values)
            return exp.Not(this=among) if condition.comparison == "!=" else among
        return _COMPARISONS[condition.comparison](this=left, expression=values[0])

    def _like(self, left: exp.Expr, condition: Filter) -> exp.Expr:
        said = str(condition.values[0])
        for special in ("^", "%", "_"):
            said = said.replace(special, "^" + special)
        before = "" if condition.comparison == "starts" else "%"
        after = "" if condition.comparison == "ends" else "%"
        pattern = self._bound(f"{before}{said.lower()}{after}", "text")
        like = exp.Like(this=exp.Lower(this=left), expression=pattern)
        return exp.Escape(this=like, expression=exp.Literal.string("^"))

    def value(self, value: Expression) -> exp.Expr:
        match value:
            case Value():
                return self._bound(value.value, "other")
            case Col():
                return self._column(value.table, value.column)
            case Part():
                return self._part(value)
            case Arithmetic():
                left, right = self.value(value.left), self.value(value.right)
                if value.operator == "/":
                    left = exp.Mul(this=left, expression=exp.Literal.number("1.0"))
                return exp.paren(_OPERATORS[value.operator](this=left, expression=right))
            case Aggregate():
                return self._aggregate(value)

    def _aggregate(self, value: Aggregate) -> exp.Expr:
        inner = exp.Star() if value.of is None else self.value(value.of)
        match value.function:
            case "count":
                return exp.Count(this=inner)
            case "count distinct":
                return exp.Count(this=exp.Distinct(expressions=[inner]))
            case "sum":
                return exp.Sum(this=inner)
            case "avg":
                return exp.Avg(this=inner)
            case "min":
                return exp.Min(this=inner)
            case "max":
                return exp.Max(this=inner)

    def _part(self, value: Part) -> exp.Expr:
        column = self.value(value.of)
        if self._dialect == "postgres":
            extracted = exp.Extract(this=exp.var(value.part.upper()), expression=column)
            return exp.cast(extracted, "int")
        if value.part == "quarter":
            month = exp.cast(_strftime("%m", column), "int")
            shifted = exp.paren(exp.Add(this=month, expression=exp.Literal.number(2)))
            return exp.Div(this=shifted, expression=exp.Literal.number(3), typed=True)
        return exp.cast(_strftime(_STRFTIME[value.part], column), "int")

    def _kind_of(self, value: Expression) -> Kind:
        return (
            self._kinds.get((value.table, value.column), "other")
            if isinstance(value, Col)
            else "other"
        )

    def _bound(self, value: Scalar, kind: Kind) -> exp.Expr:
        """A parameter; on PostgreSQL it is cast where a text stands for something else."""
        if value is None:
            return exp.null()
        name = f"p{len(self.parameters) + 1}"
        self.parameters[name] = value
        bound = exp.Placeholder(this=name)
        if self._dialect == "postgres":
            if kind in ("date", "timestamp", "time", "uuid") and isinstance(value, str):
                return exp.cast(bound, kind)
            if isinstance(value, bool):
                return exp.cast(bound, "boolean")
            if isinstance(value, int | float):
                return exp.cast(bound, "numeric")
            return exp.cast(bound, "text")
        return bound


def _strftime(form: str, column: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="STRFTIME", expressions=[exp.Literal.string(form), column])
