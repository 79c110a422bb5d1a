"""Checks a statement that writes, and writes it anew: one table, named columns, a WHERE.

The policy's row filter is and-ed to the WHERE, so that only rows that the asker may see change.
What an INSERT or UPDATE leaves behind must pass the row filter too: `returning` adds the filter to
what the statement returns, and whoever runs it rolls back if it is false for any row. That sees
the values that defaults, triggers and casts have made, which a check of the text could not.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Struct
from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.functions import with_own
from stepwell.nldb.guard.parsing import parsed
from stepwell.nldb.guard.queries import Queries
from stepwell.nldb.guard.read import Parameters, bound, fingerprint_of, policies_of, shape_of
from stepwell.nldb.guard.refusals import Refused, listed, nearest
from stepwell.nldb.guard.relations import PolicyTable, full_name, row_filter, told
from stepwell.nldb.guard.scopes import Relation, Scope, fold_identifier, masked
from stepwell.nldb.guard.second_parser import check_again
from stepwell.nldb.guard.telling import condition_may_tell, may_tell
from stepwell.nldb.guard.writer import Place, not_rebuilt, only
from stepwell.nldb.model import Access, Catalog, Dialect, Table, TableAccess

ROW_CHECK = "stepwell_row_check"
"""The name of the last column that `CheckedWrite.returning` returns: 1 where the row may stay."""

MOST_INSERTED = 1_000

Kind = Literal["insert", "update", "delete"]


class CheckedWrite(Struct, frozen=True, kw_only=True):
    """A change of one table that may be previewed, approved and run."""

    kind: Kind
    table: str
    """By the name of the catalog."""
    sql: str
    """Rebuilt, without RETURNING."""
    told: str
    """The same as the asker may read it: without what the policy adds."""
    target: str
    """The table as it stands in `sql`: `SELECT ... FROM {target} WHERE {where_sql}` reads the rows
    that an UPDATE or DELETE changes."""
    where_sql: str
    """With the row filter; empty for an INSERT."""
    assigned: tuple[str, ...]
    """The columns that it sets."""
    row_check: str
    """What must be true of every row that is left behind; empty where anything may be."""
    parameters: tuple[Any, ...] = ()
    tables: tuple[str, ...] = ()
    """Those that sub-queries of its WHERE read."""
    rows: int | None = None
    """How many an INSERT puts in."""
    written: str
    shape: str
    fingerprint: str

    def returning(self, columns: Sequence[str]) -> str:
        """The statement with RETURNING of these columns and of the row check."""
        check = f"CASE WHEN {self.row_check} THEN 1 ELSE 0 END" if self.row_check else "1"
        shown = [quoted(column) for column in columns]
        return f"{self.sql} RETURNING {', '.join([*shown, f'{check} AS {quoted(ROW_CHECK)}'])}"


_INSERT_KEYS: Final = frozenset({"this", "expression"})
_UPDATE_KEYS: Final = frozenset({"this", "expressions", "where"})
_DELETE_KEYS: Final = frozenset({"this", "where"})
_TARGET_KEYS: Final = frozenset({"this", "db", "alias"})


def check_write(
    sql: str, catalog: Catalog, access: Access, *, params: Parameters | None = None
) -> CheckedWrite:
    """The change as it may run, if the access opens it.

    Raises:
        Refused: it does not, or it is no INSERT, UPDATE or DELETE of one table that the guard can
            rebuild.
    """
    functions = with_own(catalog.dialect, access.functions)
    try:
        tree = parsed(sql, catalog.dialect, functions)
        policies = policies_of(catalog, access)
        is_fenced = policies.is_filtered and may_tell(tree, functions, catalog.dialect)
        writer = _Writes(Queries(policies, functions, is_fenced=is_fenced), catalog)
        checked = writer.write(tree, sql)
    except RecursionError as error:
        raise Refused("sql.depth", "the SQL is nested too deep", "make it smaller") from error
    if catalog.dialect == "postgres":
        texts = [*writer.queries.texts, *([writer.row_check] if writer.row_check else [])]
        check_again(checked.sql, texts, writer.queries.ctes, functions, target=writer.target_name)
    values = bound(writer.queries.parameters, params)
    return msgspec.structs.replace(checked, parameters=values)


def reached(table: Table, access: TableAccess, kind: Kind, dialect: Dialect) -> str:
    """What is true of the rows that this kind of change reaches; empty where it is all of them.

    Raises:
        Refused: by sql.policy: the policy's predicate is no expression.
    """
    narrower = access.changes.get(kind)
    given = dict.fromkeys((access.rows, "" if narrower is None else narrower.rows))
    checks = [row_filter(table, rows, dialect) for rows in given]
    return " AND ".join(check for check in checks if check)


class _Where(NamedTuple):
    asked: str
    text: str
    """With the row filter."""


class _Writes:
    def __init__(self, queries: Queries, catalog: Catalog) -> None:
        self.queries = queries
        self.target_name = ("", "")
        self.row_check = ""
        """What the policy says of the rows, as it stands in the statement."""
        self._catalog = catalog

    def write(self, tree: exp.Expr, sql: str) -> CheckedWrite:
        if isinstance(tree, exp.Insert):
            return self._insert(tree, sql)
        if isinstance(tree, exp.Update):
            return self._update(tree, sql)
        if isinstance(tree, exp.Delete):
            return self._delete(tree, sql)
        raise Refused(
            "sql.statement",
            "it is not a change of one table",
            "write INSERT INTO table (columns) VALUES (...), UPDATE table SET ... WHERE ..., or "
            "DELETE FROM table WHERE ...",
        )

    def _insert(self, node: exp.Insert, sql: str) -> CheckedWrite:
        schema = node.this
        if not isinstance(schema, exp.Schema) or not schema.expressions:
            raise Refused(
                "sql.columns",
                "an INSERT that does not name its columns",
                "write INSERT INTO table (columns) VALUES (...)",
            )
        only(node, _INSERT_KEYS)
        policy, target, scope = self._target(schema.this, "insert")
        columns = self._assigned(schema.expressions, policy, "insert")
        values = node.expression
        if not isinstance(values, exp.Values):
            raise Refused(
                "sql.construct",
                "an INSERT of a query",
                "write the rows after VALUES; read them with a query first",
            )
        only(values, frozenset({"expressions"}))
        if len(values.expressions) > MOST_INSERTED:
            raise Refused("sql.length", f"an INSERT of more than {MOST_INSERTED} rows")
        empty = Place(Scope(None, scope.dialect), {}, strict=True)
        rows = [self._row(row, len(columns), empty) for row in values.expressions]
        names = ", ".join(quoted(column) for column in columns)
        text = f"INSERT INTO {target} ({names}) VALUES {', '.join(rows)}"  # noqa: S608
        return self._checked("insert", policy, sql, text, target, None, columns, rows=len(rows))

    def _row(self, node: Any, width: int, place: Place) -> str:
        items = node.expressions if isinstance(node, exp.Tuple) else [node]
        if len(items) != width:
            raise Refused(
                "sql.syntax",
                f"a row of {len(items)} values for {width} columns",
                "give each column one value",
            )
        return f"({', '.join([self._value(item, place) for item in items])})"

    def _update(self, node: exp.Update, sql: str) -> CheckedWrite:
        only(node, _UPDATE_KEYS)
        policy, target, scope = self._target(node.this, "update")
        place = Place(scope, {}, strict=True)
        columns: list[exp.Expr] = []
        values: list[str] = []
        for item in node.expressions:
            column = item.this if isinstance(item, exp.EQ) else None
            if not isinstance(column, exp.Column) or column.args.get("table") is not None:
                raise Refused(
                    "sql.columns",
                    "a SET that is not column = value",
                    "set one column after another",
                )
            columns.append(column.this)
            values.append(self._value(item.expression, place))
        names = self._assigned(columns, policy, "update")
        sets = ", ".join(
            f"{quoted(name)} = {value}" for name, value in zip(names, values, strict=True)
        )
        where = self._where(node, policy, place, "update")
        change = f"UPDATE {target} SET {sets}"  # noqa: S608
        return self._checked("update", policy, sql, change, target, where, names)

    def _delete(self, node: exp.Delete, sql: str) -> CheckedWrite:
        only(node, _DELETE_KEYS)
        policy, target, scope = self._target(node.this, "delete")
        where = self._where(node, policy, Place(scope, {}, strict=True), "delete")
        change = f"DELETE FROM {target}"  # noqa: S608
        return self._checked("delete", policy, sql, change, target, where, ())

    def _target(self, node: Any, kind: Kind) -> tuple[PolicyTable, str, Scope]:
        if type(node) is not exp.Table or not isinstance(node.this, exp.Identifier):
            raise not_rebuilt(node)
        only(node, _TARGET_KEYS)
        dialect = self._catalog.dialect
        name = fold_identifier(node.this, dialect)
        schema_node = node.args.get("db")
        schema = "" if schema_node is None else fold_identifier(schema_node, dialect)
        readable = self.queries.readable
        policy = readable.find(schema, name)
        if policy is None:
            known = [table.table.name for table in readable.tables.values()]
            raise Refused("sql.table", f"there is no table {name} to change", nearest(name, known))
        if policy.problem:
            raise Refused("sql.policy", policy.problem, "tell whoever writes the policies")
        if policy.table.is_view or not getattr(policy.access, kind):
            raise Refused(
                "sql.not_writable",
                f"{kind.upper()} of {name} is not allowed by the data policy",
                "ask whoever writes the policies to open it",
            )
        alias = node.args.get("alias")
        shown = name if alias is None else fold_identifier(alias.this, dialect)
        scope = Scope(None, dialect)
        scope.add(Relation(shown, policy.columns, policy, is_changed=True))
        table = policy.table
        self.target_name = (table.schema or self._catalog.default_schema, table.bare)
        full = full_name(table, self._catalog)
        return policy, full if kind == "insert" else f"{full} AS {quoted(shown)}", scope

    def _assigned(
        self, identifiers: Sequence[Any], policy: PolicyTable, kind: Kind
    ) -> tuple[str, ...]:
        dialect = self._catalog.dialect
        by_fold = {
            fold: column
            for column in policy.table.columns
            if (fold := column.name if dialect == "postgres" else column.name.lower())
        }
        visible = {column.name: column.masked for column in policy.columns}
        narrower = policy.access.changes.get(kind)
        opened = policy.access.writable if narrower is None else narrower.columns
        may = [
            fold
            for fold, column in by_fold.items()
            if not column.generated
            and (column.name in opened if opened is not None else visible.get(fold) is False)
        ]
        names: list[str] = []
        for identifier in identifiers:
            name = fold_identifier(identifier, dialect)
            if visible.get(name) and name not in may:
                raise masked(name)
            if name not in may:
                rule = "sql.not_writable" if name in visible else "sql.column"
                raise Refused(
                    rule,
                    f"there is no column {name} of {policy.table.name} that may be set",
                    nearest(name, may) or f"there are {listed(may)}",
                )
            names.append(by_fold[name].name)
        if len(set(names)) < len(names):
            raise Refused("sql.columns", "a column is set twice", "set each column once")
        return tuple(names)

    def _value(self, node: Any, place: Place) -> str:
        if isinstance(node, exp.Expr) and node.find(exp.Query) is not None:
            raise Refused(
                "sql.construct",
                "a sub-query among the new values",
                "read the value with a query first, and write it as a literal",
            )
        if isinstance(node, exp.Var) and str(node.this).upper() == "DEFAULT":
            if self._catalog.dialect == "postgres":
                return "DEFAULT"
            raise Refused("sql.syntax", "DEFAULT as a value", "leave the column out")
        return self.queries.expression(node, place)

    def _where(self, node: Any, policy: PolicyTable, place: Place, kind: Kind) -> "_Where":
        where = node.args.get("where")
        before = self.queries.changed_seen
        text = self.queries.expression(where.this, place) if where is not None else ""
        if where is None or self.queries.changed_seen == before:
            raise Refused(
                "sql.where",
                "a change without a WHERE that names a column of the table",
                "say which rows, by their key if you can",
            )
        check = self._row_check(policy, kind)
        if not check:
            return _Where(text, text)
        if condition_may_tell(where.this, self.queries.functions, self._catalog.dialect):
            # Of a row that is hidden, the condition is never worked out.
            return _Where(text, f"CASE WHEN {check} THEN ({text}) ELSE FALSE END")
        return _Where(text, f"({text}) AND {check}")

    def _row_check(self, policy: PolicyTable, kind: Kind) -> str:
        """What is true of every row that this kind of change reaches, or leaves behind."""
        return reached(policy.table, policy.access, kind, self._catalog.dialect)

    def _checked(
        self,
        kind: Kind,
        policy: PolicyTable,
        written: str,
        change: str,
        target: str,
        where: "_Where | None",
        assigned: tuple[str, ...],
        *,
        rows: int | None = None,
    ) -> CheckedWrite:
        check = self.row_check = self._row_check(policy, kind)
        asked = change if where is None else f"{change} WHERE {where.asked}"
        shown = told(asked, self.queries.tables.values(), self._catalog)
        shape = shape_of(shown)
        return CheckedWrite(
            kind=kind,
            table=policy.table.name,
            sql=change if where is None else f"{change} WHERE {where.text}",
            told=shown,
            target=target,
            where_sql="" if where is None else where.text,
            assigned=assigned,
            row_check="" if kind == "delete" else check,
            tables=tuple(self.queries.tables),
            rows=rows,
            written=written,
            shape=shape,
            fingerprint=fingerprint_of(shape),
        )
