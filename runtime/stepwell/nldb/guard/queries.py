"""Writes queries anew: common table expressions, set operations, VALUES, and each SELECT in them."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs
from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.relations import Output
from stepwell.nldb.guard.scales import widest
from stepwell.nldb.guard.scopes import Cte, Ctes, Scope, fold_identifier, masked
from stepwell.nldb.guard.selects import Selects
from stepwell.nldb.guard.sources import SUBQUERY_KEYS, renamed
from stepwell.nldb.guard.writer import Place, Written, not_rebuilt, only

_SETS: Final = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
_SET_KEYS: Final = frozenset(
    {"this", "expression", "distinct", "with_", "order", "limit", "offset"}
)
_VALUES_KEYS: Final = frozenset({"expressions", "alias", "order", "limit", "offset", "with_"})
_WITH_KEYS: Final = frozenset({"expressions", "recursive"})
_CTE_KEYS: Final = frozenset({"this", "alias", "materialized"})


class Queries(Selects):
    """One statement on its way from the tree to the text."""

    def query(self, node: exp.Expr, outer: Scope | None, ctes: Ctes) -> Written:
        """The query written anew, without parentheses around it.

        Raises:
            Refused: something in it is not allowed.
        """
        if type(node) is exp.Select:
            return self._select(node, outer, ctes)
        if type(node) in _SETS:
            return self._set(node, outer, ctes, None)
        if type(node) is exp.Subquery:
            return self._in_parentheses(node, outer, ctes)
        if type(node) is exp.Values:
            return self._values(node, outer, ctes)
        if isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            raise Refused(
                "sql.write", "a query that also changes rows", "only reading is possible here"
            )
        raise not_rebuilt(node)

    def _with(self, node: Any, outer: Scope | None, ctes: Ctes) -> tuple[str, Ctes]:
        clause = node.args.get("with_")
        if clause is None:
            return "", ctes
        only(clause, _WITH_KEYS)
        is_recursive = bool(clause.args.get("recursive"))
        is_seen_early = is_recursive or self.dialect == "sqlite"
        names = [fold_identifier(self._alias(cte).this, self.dialect) for cte in clause.expressions]
        if len(set(names)) < len(names):
            raise Refused(
                "sql.ambiguous",
                "two common table expressions have the same name",
                "give each its own",
            )
        known: dict[str, Cte | None] = dict(ctes)
        if is_seen_early:
            known |= dict.fromkeys(names)
        parts: list[str] = []
        for name, cte in zip(names, clause.expressions, strict=True):
            text, known[name] = self._cte(name, cte, outer, known, is_recursive=is_seen_early)
            parts.append(text)
        return f"WITH {'RECURSIVE ' if is_recursive else ''}{', '.join(parts)} ", known

    def _cte(
        self, name: str, node: Any, outer: Scope | None, ctes: Ctes, *, is_recursive: bool
    ) -> tuple[str, Cte]:
        only(node, _CTE_KEYS)
        alias = self._alias(node)
        columns = [
            fold_identifier(column, self.dialect) for column in alias.args.get("columns") or ()
        ]
        written_name = self._cte_name(name)
        if is_recursive and type(node.this) in _SETS:
            body = self._set(node.this, outer, ctes, (name, written_name, columns))
        else:
            body = self.query(node.this, outer, ctes)
        outputs = renamed(body.columns, columns, name)
        names = f"({', '.join(quoted(column) for column in columns)})" if columns else ""
        kept = node.args.get("materialized")
        how = "" if kept is None else "MATERIALIZED " if kept else "NOT MATERIALIZED "
        text = f"{quoted(written_name)}{names} AS {how}({body.text})"
        return text, Cte(written_name, outputs)

    def _cte_name(self, name: str) -> str:
        number = len(self.ctes) + 1
        written = f"cte{number}_{name}"
        if len(written.encode()) > 60:
            written = f"cte{number}"
        self.ctes[written] = None
        return written

    def _alias(self, node: exp.Expr) -> exp.TableAlias:
        alias = node.args.get("alias")
        if not isinstance(alias, exp.TableAlias) or not isinstance(alias.this, exp.Identifier):
            raise not_rebuilt(node)
        return alias

    def _set(
        self,
        node: Any,
        outer: Scope | None,
        ctes: Ctes,
        itself: tuple[str, str, list[str]] | None,
    ) -> Written:
        only(node, _SET_KEYS)
        prefix, ctes = self._with(node, outer, ctes)
        if itself is not None and type(node.this) in _SETS:
            left = self._set(node.this, outer, ctes, itself)
        else:
            left = self.query(node.this, outer, ctes)
        if itself is not None:
            name, written_name, columns = itself
            again = renamed(left.columns, columns, name)
            again = tuple(structs.replace(column, recurs=True) for column in again)
            ctes = {**ctes, name: Cte(written_name, again)}
        right = self.query(node.expression, outer, ctes)
        operator = _SETS[type(node)]
        outputs = self._united(left, right, is_comparing=operator != "UNION", itself=itself)
        every = "" if node.args.get("distinct") else " ALL"
        tail = self._set_tail(node, outputs, outer, ctes)
        return Written(f"{prefix}{left.text} {operator}{every} {right.text}{tail}", outputs)

    def _united(
        self, left: Written, right: Written, *, is_comparing: bool, itself: object
    ) -> tuple[Output, ...]:
        if len(left.columns) != len(right.columns):
            raise Refused(
                "sql.syntax",
                f"the queries of a set operation have {len(left.columns)} and "
                f"{len(right.columns)} columns",
                "select as many columns on both sides",
            )
        outputs: list[Output] = []
        for one, other in zip(left.columns, right.columns, strict=True):
            is_masked = one.masked or other.masked
            if is_masked and (is_comparing or (itself is not None and not one.masked)):
                raise masked(one.name if one.masked else other.name)
            scale = widest([one.scale, other.scale])
            growth = max(one.growth, other.growth)
            recurs = itself is None and (one.recurs or other.recurs)
            outputs.append(
                Output(one.name, masked=is_masked, scale=scale, growth=growth, recurs=recurs)
            )
        return tuple(outputs)

    def _set_tail(
        self, node: Any, outputs: Sequence[Output], outer: Scope | None, ctes: Ctes
    ) -> str:
        text = ""
        if (order := node.args.get("order")) is not None:
            scope = Scope(None, self.dialect)
            scope.aliases = {column.name: column.masked for column in outputs}
            place = Place(scope, ctes, aliases=True)
            text = f" ORDER BY {self._order(order, outputs, place)}"
        return text + self._limits(node, outer, ctes)

    def _in_parentheses(self, node: Any, outer: Scope | None, ctes: Ctes) -> Written:
        only(node, SUBQUERY_KEYS)
        if node.args.get("alias"):
            raise not_rebuilt(node)
        prefix, ctes = self._with(node, outer, ctes)
        inner = self.query(node.this, outer, ctes)
        tail = self._set_tail(node, inner.columns, outer, ctes)
        text = f"({inner.text})"
        if self.dialect == "sqlite":  # which takes no parentheses around a part of a set operation
            text = f"SELECT * FROM {text}"  # noqa: S608
        return Written(f"{prefix}{text}{tail}", inner.columns)

    def _values(self, node: Any, outer: Scope | None, ctes: Ctes) -> Written:
        only(node, _VALUES_KEYS)
        prefix, ctes = self._with(node, outer, ctes)
        scope = outer or Scope(None, self.dialect)
        before = self.masked_seen
        around = (self.growth, self.recurring)
        self.growth, self.recurring = 1, 0
        rows: list[str] = []
        width = -1
        for row in node.expressions:
            items = row.expressions if isinstance(row, exp.Tuple) else [row]
            if width not in (-1, len(items)):
                raise Refused("sql.syntax", "rows of VALUES differ in length")
            width = len(items)
            rows.append(f"({self.expressions(items, Place(scope, ctes))})")
        made = Output(
            "",
            masked=self.masked_seen > before,
            growth=self.growth,
            recurs=self.recurring > 0,
        )
        self.growth, self.recurring = around
        outputs = tuple(structs.replace(made, name=f"column{n + 1}") for n in range(width))
        tail = self._set_tail(node, outputs, outer, ctes)
        return Written(f"{prefix}VALUES {', '.join(rows)}{tail}", outputs)
