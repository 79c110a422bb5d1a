"""Writes what a query reads from: every table as its policy sub-query, and how they are joined."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs
from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.functions import Functions
from stepwell.nldb.guard.refusals import Refused, listed, nearest
from stepwell.nldb.guard.relations import Output, PolicyTable, Readable
from stepwell.nldb.guard.rows import Rows
from stepwell.nldb.guard.scopes import Ctes, Relation, Scope, fold_identifier
from stepwell.nldb.guard.writer import Place, Written, not_rebuilt, only

SUBQUERY_KEYS: Final = frozenset({"this", "alias", "with_", "order", "limit", "offset"})
_TABLE_KEYS: Final = frozenset({"this", "db", "alias", "ordinality"})
_JOIN_KEYS: Final = frozenset({"this", "side", "kind", "method", "on", "using"})
_LATERAL_KEYS: Final = frozenset({"this", "alias", "ordinality"})


class Sources(Rows, ABC):
    """What stands after FROM."""

    def __init__(
        self, readable: Readable, functions: Functions, *, is_fenced: bool = False
    ) -> None:
        super().__init__(readable.catalog.dialect, functions)
        self.readable = readable
        self.tables: dict[str, PolicyTable] = {}
        """What was read, by the catalog's names."""
        self.ctes: dict[str, None] = {}
        """The names that the guard gave to common table expressions."""
        self.texts: dict[str, None] = {}
        """The policy sub-queries as they were written."""
        self._is_fenced = is_fenced

    @abstractmethod
    def _with(self, node: Any, outer: Scope | None, ctes: Ctes) -> tuple[str, Ctes]:
        """What stands before a query, and the common table expressions that it knows."""

    @abstractmethod
    def _set_tail(
        self, node: Any, outputs: Sequence[Output], outer: Scope | None, ctes: Ctes
    ) -> str:
        """ORDER BY and LIMIT of a query that is no SELECT itself."""

    @abstractmethod
    def _values(self, node: Any, outer: Scope | None, ctes: Ctes) -> Written:
        """VALUES as a query."""

    def _from(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        clause = node.args.get("from_")
        if clause is None:
            if node.args.get("joins"):
                raise not_rebuilt(node, "joins")
            return ""
        only(clause, frozenset({"this"}))
        text = self._item(clause.this, scope, ctes)
        for join in node.args.get("joins") or ():
            text += self._join(join, scope, ctes)
        return f" FROM {text}"

    def _join(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        only(node, _JOIN_KEYS)
        words = [str(node.args.get(key) or "").upper() for key in ("method", "side", "kind")]
        method, side, kind = words
        is_plain = (
            method in ("", "NATURAL")
            and side in ("", "LEFT", "RIGHT", "FULL")
            and kind in ("", "INNER", "OUTER", "CROSS")
        )
        if not is_plain:
            raise not_rebuilt(node, " ".join(filter(None, words)).lower())
        before = len(scope.relations)
        item = self._item(node.this, scope, ctes)
        added = scope.relations[before:]
        on, using = node.args.get("on"), node.args.get("using")
        if not any(words) and on is None and not using:
            return f", {item}"
        text = f" {' '.join(filter(None, words))} JOIN {item}".replace("  ", " ")
        if on is not None:
            place = Place(scope, ctes, strict=True)
            return f"{text} ON {self.expression(on, place)}"
        if method == "NATURAL":
            self._merge_natural(scope, added)
        elif using:
            names = [fold_identifier(_identifier(name), self.dialect) for name in using]
            self._merge(scope, added, names)
            return f"{text} USING ({', '.join(quoted(name) for name in names)})"
        return text

    def _merge(self, scope: Scope, added: Sequence[Relation], names: Sequence[str]) -> None:
        if len(added) != 1:
            raise Refused(
                "sql.construct", "USING with a join in parentheses", "join with ON instead"
            )
        for name in names:
            scope.merge(name, added[0])

    def _merge_natural(self, scope: Scope, added: Sequence[Relation]) -> None:
        if len(added) != 1:
            raise Refused(
                "sql.construct", "a NATURAL join with a join in parentheses", "join with ON instead"
            )
        left = {
            column.name
            for relation in scope.relations
            if relation is not added[0]
            for column in relation.columns
        }
        names = [column.name for column in added[0].columns if column.name in left]
        if not names:
            raise Refused(
                "sql.column",
                "the tables of the NATURAL join have no column in common",
                "join with ON and name both columns",
            )
        for name in names:
            scope.merge(name, added[0])

    def _item(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        """One item of FROM; it is added to the scope."""
        if type(node) is exp.Table:
            if isinstance(node.this, exp.Func):
                return self._rows_item(node, scope, ctes)
            return self._table(node, scope, ctes)
        if type(node) is exp.Subquery:
            return self._derived(node, scope, ctes, outer=scope.outer)
        if type(node) is exp.Lateral:
            return self._lateral(node, scope, ctes)
        if type(node) is exp.Values:
            return self._values_item(node, scope, ctes)
        raise not_rebuilt(node)

    def _rows_item(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        only(node, frozenset({"this", "alias", "ordinality"}))
        text, relation = self.rows(
            node.this,
            node.args.get("alias"),
            Place(scope, ctes),
            with_ordinality=bool(node.args.get("ordinality")),
        )
        scope.add(relation)
        return text

    def _table(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        only(node, _TABLE_KEYS)
        if not isinstance(node.this, exp.Identifier) or node.args.get("ordinality"):
            raise not_rebuilt(node)
        name = fold_identifier(node.this, self.dialect)
        schema_node = node.args.get("db")
        schema = "" if schema_node is None else fold_identifier(schema_node, self.dialect)
        alias, columns = self._alias_of(node, name)
        if not schema and name in ctes:
            return self._cte_item(name, alias, columns, scope, ctes)
        policy = self.readable.find(schema, name)
        if policy is None:
            raise self._unknown_table(f"{schema}.{name}" if schema else name, ctes)
        if policy.problem:
            raise Refused("sql.policy", policy.problem, "tell whoever writes the policies")
        self.tables[policy.table.name] = policy
        outputs = renamed(policy.columns, columns, alias)
        # Renamed columns are no longer those of the table.
        scope.add(Relation(alias, outputs, None if columns else policy))
        if columns:
            self.columns_read |= {
                (policy.table.name, column.name): None for column in policy.columns
            }
        text = policy.fenced if self._is_fenced else policy.text
        self.texts[text] = None
        return f"{text} AS {quoted(alias)}{_column_list(columns)}"

    def _cte_item(
        self, name: str, alias: str, columns: Sequence[str], scope: Scope, ctes: Ctes
    ) -> str:
        cte = ctes[name]
        if cte is None:
            raise Refused(
                "sql.table",
                f"the common table expression {name} is read before it is defined",
                "put it before the one that reads it; recursion needs a UNION whose second part "
                "reads it",
            )
        scope.add(Relation(alias, renamed(cte.columns, columns, alias)))
        return f"{quoted(cte.name)} AS {quoted(alias)}{_column_list(columns)}"

    def _unknown_table(self, name: str, ctes: Ctes) -> Refused:
        known = [policy.table.name for policy in self.readable.tables.values()]
        known += [cte for cte, defined in ctes.items() if defined is not None]
        return Refused(
            "sql.table",
            f"there is no table {name} to read",
            nearest(name, known) or (f"there are {listed(known)}" if known else ""),
        )

    def _derived(
        self, node: Any, scope: Scope, ctes: Ctes, *, outer: Scope | None, lateral: str = ""
    ) -> str:
        if type(node.this) is exp.Table:
            return self._joined(node, scope, ctes)
        only(node, SUBQUERY_KEYS)
        alias, columns = self._alias_of(node, "")
        prefix, inner_ctes = self._with(node, outer, ctes)
        written = self.query(node.this, outer, inner_ctes)
        tail = self._set_tail(node, written.columns, outer, inner_ctes)
        if prefix or tail:
            raise not_rebuilt(node)
        scope.add(Relation(alias, renamed(written.columns, columns, alias)))
        named = f" AS {quoted(alias)}{_column_list(columns)}" if alias else ""
        return f"{lateral}({written.text}){named}"

    def _joined(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        """A join in parentheses: its tables are known outside by their own names."""
        only(node, frozenset({"this"}))
        table = node.this
        joins = table.args.get("joins") or []
        bare = table.copy()
        bare.set("joins", None)
        text = self._item(bare, scope, ctes)
        if not joins:
            return text
        for join in joins:
            text += self._join(join, scope, ctes)
        return f"({text})"

    def _lateral(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        only(node, _LATERAL_KEYS)
        if self.dialect == "sqlite":
            raise not_rebuilt(node)
        if type(node.this) is exp.Subquery:
            inner = node.this.copy()
            inner.set("alias", node.args.get("alias"))
            return self._derived(inner, scope, ctes, outer=scope, lateral="LATERAL ")
        text, relation = self.rows(
            node.this,
            node.args.get("alias"),
            Place(scope, ctes),
            with_ordinality=bool(node.args.get("ordinality")),
        )
        scope.add(relation)
        return f"LATERAL {text}"

    def _values_item(self, node: Any, scope: Scope, ctes: Ctes) -> str:
        alias, columns = self._alias_of(node, "")
        bare = node.copy()
        bare.set("alias", None)
        written = self._values(bare, scope.outer, ctes)
        scope.add(Relation(alias, renamed(written.columns, columns, alias)))
        named = f" AS {quoted(alias)}{_column_list(columns)}" if alias else ""
        return f"({written.text}){named}"

    def _alias_of(self, node: Any, default: str) -> tuple[str, list[str]]:
        alias = node.args.get("alias")
        if alias is None:
            return default, []
        only(alias, frozenset({"this", "columns"}))
        name = default if alias.this is None else fold_identifier(alias.this, self.dialect)
        columns = [
            fold_identifier(column, self.dialect) for column in alias.args.get("columns") or ()
        ]
        if columns and self.dialect == "sqlite":
            raise Refused(
                "sql.construct",
                "column names after a table's alias, which SQLite does not have",
                "name the columns with AS in a sub-query",
            )
        return name, columns


def renamed(columns: Sequence[Output], names: Sequence[str], table: str) -> tuple[Output, ...]:
    """Columns under the names that a list after an alias gives them; the rest keeps its own.

    Raises:
        Refused: by sql.syntax, there are more names than columns.
    """
    if len(names) > len(columns):
        raise Refused(
            "sql.syntax",
            f"{table} has {len(columns)} columns, and {len(names)} names are given",
            "give as many names as there are columns",
        )
    renamed = [
        structs.replace(column, name=name) for name, column in zip(names, columns, strict=False)
    ]
    return (*renamed, *columns[len(names) :])


def _column_list(columns: Sequence[str]) -> str:
    return f"({', '.join(quoted(column) for column in columns)})" if columns else ""


def _identifier(node: Any) -> exp.Expr:
    """The name in USING: an identifier, or a column made of one."""
    inner = node.this if type(node) is exp.Column and node.args.get("table") is None else node
    if not isinstance(inner, exp.Identifier):
        raise not_rebuilt(node)
    return inner
