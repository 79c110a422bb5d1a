"""Writes queries anew: every table as its policy sub-query, every name as what it means."""

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs
from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.expressions import Expressions, Place, Written, not_rebuilt, only
from stepwell.nldb.guard.functions import Functions
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.refusals import Refused, listed, nearest
from stepwell.nldb.guard.relations import Output, PolicyTable, Readable
from stepwell.nldb.guard.rows import Rows
from stepwell.nldb.guard.scales import scale_in, widest
from stepwell.nldb.guard.scopes import Cte, Ctes, Relation, Scope, fold_identifier, masked
from stepwell.nldb.guard.words import words

_SETS: Final = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
_SET_KEYS: Final = frozenset(
    {"this", "expression", "distinct", "with_", "order", "limit", "offset"}
)
_SELECT_KEYS: Final = words("""with_ kind expressions distinct from_ joins where group having windows order limit
    offset""")
_VALUES_KEYS: Final = frozenset({"expressions", "alias", "order", "limit", "offset", "with_"})
_WITH_KEYS: Final = frozenset({"expressions", "recursive"})
_CTE_KEYS: Final = frozenset({"this", "alias", "materialized"})
_SUBQUERY_KEYS: Final = frozenset({"this", "alias", "with_", "order", "limit", "offset"})
_TABLE_KEYS: Final = frozenset({"this", "db", "alias", "ordinality"})
_JOIN_KEYS: Final = frozenset({"this", "side", "kind", "method", "on", "using"})
_LATERAL_KEYS: Final = frozenset({"this", "alias", "ordinality"})
_GROUP_KEYS: Final = frozenset({"expressions"})
_FETCH_KEYS: Final = frozenset({"direction", "count", "limit_options"})
_UNCOMPARABLE: Final = frozenset(
    {"json", "xml", "point", "box", "polygon", "line", "lseg", "circle", "path"}
)


class Queries(Rows, Expressions):
    """One statement on its way from the tree to the text."""

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

    # Common table expressions

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
        outputs = _renamed(body.columns, columns, name)
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

    # Set operations, parentheses, VALUES

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
            again = _renamed(left.columns, columns, name)
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
        only(node, _SUBQUERY_KEYS)
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

    # SELECT

    def _select(self, node: Any, outer: Scope | None, ctes: Ctes) -> Written:
        only(node, _SELECT_KEYS)
        if node.args.get("kind"):
            raise not_rebuilt(node, "kind")
        prefix, ctes = self._with(node, outer, ctes)
        scope = Scope(outer, self.dialect)
        place = Place(scope, ctes)
        source = self._from(node, scope, ctes)
        distinct = self._distinct(node, place)
        items, outputs = self._projections(node.expressions, place)
        text = f"SELECT {distinct}{items}{source}"
        rest = place._replace(strict=True, aliases=self.dialect == "sqlite")
        if (where := node.args.get("where")) is not None:
            text += f" WHERE {self.expression(where.this, rest)}"
        having = node.args.get("having")
        having_text = f" HAVING {self.expression(having.this, rest)}" if having else ""
        windows = self._windows(node, rest)
        order = node.args.get("order")
        order_text = ""
        if order is not None:
            order_text = f" ORDER BY {self._order(order, outputs, place)}"
        text += self._group(node, outputs, place)
        text += having_text + windows + order_text + self._limits(node, outer, ctes)
        return Written(prefix + text, outputs)

    def _distinct(self, node: Any, place: Place) -> str:
        distinct = node.args.get("distinct")
        if distinct is None:
            return ""
        on = distinct.args.get("on")
        if on is None:
            return "DISTINCT "
        items = on.expressions if isinstance(on, exp.Tuple) else [on]
        return f"DISTINCT ON ({self.expressions(items, place.strictly())}) "

    def _projections(self, nodes: Sequence[Any], place: Place) -> tuple[str, tuple[Output, ...]]:
        if not nodes:
            raise Refused("sql.syntax", "a SELECT without columns", "name the columns")
        texts: list[str] = []
        outputs: list[Output] = []
        for node in nodes:
            text, columns = self._projection(node, place)
            texts.append(text)
            outputs.extend(columns)
        place.scope.aliases = {column.name: column.masked for column in outputs}
        return ", ".join(texts), tuple(outputs)

    def _projection(self, node: Any, place: Place) -> tuple[str, Sequence[Output]]:
        if type(node) is exp.Star:
            only(node, frozenset())
            return "*", self._all_columns(place.scope)
        if type(node) is exp.Column and isinstance(node.this, exp.Star):
            only(node.this, frozenset())
            return self._columns_of(node, place.scope)
        before = self.masked_seen
        around = (self.growth, self.recurring)
        self.growth, self.recurring = 1, 0
        alias = None
        expression = node
        if type(node) is exp.Alias:
            only(node, frozenset({"this", "alias"}))
            alias = fold_identifier(node.args["alias"], self.dialect)
            expression = node.this
        text = self.expression(expression, place)
        made = Output(
            "",
            masked=self.masked_seen > before,
            scale=scale_in(expression, place.scope),
            growth=self.growth,
            recurs=self.recurring > 0,
        )
        self.growth, self.recurring = around
        if alias is not None:
            shown = node.args["alias"].this if self.dialect == "sqlite" else alias
            return f"{text} AS {quoted(shown)}", [structs.replace(made, name=alias)]
        name = self._name(expression, text)
        if self.dialect == "sqlite" and type(expression) is not exp.Column:
            text = f"{text} AS {quoted(name)}"
        elif self.dialect == "sqlite":
            text = f"{text} AS {quoted(self._spelling(expression, name))}"
        return text, [structs.replace(made, name=name)]

    def _spelling(self, node: exp.Column, name: str) -> str:
        return name if node.this.this.lower() == name else str(node.this.this)

    def _name(self, node: Any, text: str) -> str:
        """The name that the engine gives to a column without one."""
        if type(node) is exp.Column:
            return fold_identifier(node.this, self.dialect)
        if self.dialect == "sqlite":
            if node.find(exp.Query) is not None:  # rebuilt, it has the row filters in it
                return "subquery"
            return re.sub(r'(?:"[^"]*"\.)?"([A-Za-z_]\w*)"', r"\1", text[:200])[:100]
        while type(node) in (exp.Cast, exp.Window, exp.Filter, exp.WithinGroup, exp.Paren):
            node = node.this
        match node:
            case exp.Column():
                return fold_identifier(node.this, self.dialect)
            case exp.Anonymous():
                return str(node.this).removeprefix(MARK)
            case exp.Case():
                return "case"
            case exp.Extract():
                return "extract"
            case exp.CurrentDate() | exp.CurrentTimestamp() | exp.CurrentTime():
                return text.lower()
            case exp.Substring():
                return "substring"
            case exp.Exists():
                return "exists"
        return "?column?"

    def _all_columns(self, scope: Scope) -> list[Output]:
        if not scope.relations:
            raise Refused("sql.syntax", "a * without a table", "name a table in FROM")
        merged = [Output(name, masked=hidden) for name, hidden in scope.merged.items()]
        others: list[Output] = []
        for relation in scope.relations:
            others += [column for column in relation.columns if column.name not in scope.merged]
            self._read_all(relation)
        self.masked_seen += sum(column.masked for column in others)
        return merged + others

    def _columns_of(self, node: exp.Column, scope: Scope) -> tuple[str, Sequence[Output]]:
        alias = fold_identifier(node.args["table"], self.dialect)
        if node.args.get("db") is not None:
            raise Refused("sql.construct", "a * with a schema", "give the table an alias")
        for relation in scope.relations:
            if relation.alias == alias:
                self.masked_seen += sum(column.masked for column in relation.columns)
                self._read_all(relation)
                return f"{quoted(alias)}.*", relation.columns
        names = [relation.alias for relation in scope.relations if relation.alias]
        raise Refused(
            "sql.table",
            f"no table of this SELECT is called {alias}",
            nearest(alias, names) or f"there are {listed(names)}",
        )

    def _read_all(self, relation: Relation) -> None:
        if relation.policy is not None:
            table = relation.policy.table.name
            self.columns_read |= {(table, column.name): None for column in relation.columns}

    def _windows(self, node: Any, place: Place) -> str:
        windows = node.args.get("windows")
        if not windows:
            return ""
        parts = [
            f"{self.window_name(window.this)} AS ({self.window(_without_name(window), place)})"
            for window in windows
        ]
        return f" WINDOW {', '.join(parts)}"

    # GROUP BY, ORDER BY, LIMIT

    def _group(self, node: Any, outputs: Sequence[Output], place: Place) -> str:
        group = node.args.get("group")
        if group is None:
            return ""
        only(group, _GROUP_KEYS)
        place = place.strictly()
        items = [
            self._grouped(item, node.expressions, outputs, place) for item in group.expressions
        ]
        if self.dialect == "postgres":
            items += self._dependent(group.expressions, node.expressions, place.scope)
        return f" GROUP BY {', '.join(items)}"

    def _grouped(
        self, node: Any, projections: Sequence[Any], outputs: Sequence[Output], place: Place
    ) -> str:
        match node:
            case exp.Literal() if not node.is_string:
                return self._ordinal(node, outputs)
            case exp.Rollup() | exp.Cube():
                only(node, _GROUP_KEYS)
                name = type(node).__name__.upper()
                return f"{name} ({self.expressions(node.expressions, place)})"
            case exp.GroupingSets():
                only(node, _GROUP_KEYS)
                inner = [
                    self._grouped(item, projections, outputs, place) for item in node.expressions
                ]
                return f"GROUPING SETS ({', '.join(inner)})"
            case _:
                plain = type(node) is exp.Column or self.dialect == "sqlite"
                return self.expression(node, place._replace(aliases=plain))

    def _dependent(
        self, grouped: Sequence[Any], projections: Sequence[Any], scope: Scope
    ) -> list[str]:
        """Columns that the primary keys among the groups decide.

        PostgreSQL knows that of a table, but not of the sub-query that stands for it.
        """
        keys: set[tuple[str, str]] = set()
        for node in grouped:
            column = _meant(node, projections, self.dialect)
            if column is not None:
                found = scope.find(column, with_aliases=True)
                if found.relation is not None:
                    keys.add((found.relation.alias, found.column))
        more: list[str] = []
        for relation in scope.relations:
            policy = relation.policy
            if policy is None or not policy.key:
                continue
            if not all((relation.alias, name) in keys for name in policy.key):
                continue
            types = {column.name: column.type.lower() for column in policy.table.columns}
            more += [
                f"{quoted(alias)}.{quoted(name)}"
                for alias, name in scope.plainly_used
                if alias == relation.alias
                and (alias, name) not in keys
                and types.get(name, "") not in _UNCOMPARABLE
            ]
        return more

    def _ordinal(self, node: exp.Literal, outputs: Sequence[Output]) -> str:
        number = str(node.this)
        if not number.isdigit() or not 1 <= int(number) <= len(outputs):
            raise Refused(
                "sql.syntax",
                f"a column number that is not from 1 to {len(outputs)}",
                "name the column",
            )
        if outputs[int(number) - 1].masked:
            raise masked(outputs[int(number) - 1].name)
        return number

    def _order(self, node: Any, outputs: Sequence[Output], place: Place) -> str:
        only(node, frozenset({"expressions"}))
        place = place._replace(strict=True, aliases=True)
        return ", ".join([self._order_item(item, outputs, place) for item in node.expressions])

    def _order_item(self, node: Any, outputs: Sequence[Output], place: Place) -> str:
        if type(node) is not exp.Ordered:
            return self.expression(node, place)
        only(node, frozenset({"this", "desc", "nulls_first"}))
        value = node.this
        if isinstance(value, exp.Literal) and not value.is_string:
            return self._ordinal(value, outputs) + self.direction(node)
        if type(value) is exp.Column and value.args.get("table") is None:
            name = "" if isinstance(value.this, exp.Star) else place.scope.fold(value.this)
            if name in place.scope.aliases:
                if place.scope.aliases[name]:
                    raise masked(name)
                if self._is_alias(name, place.scope):
                    return quoted(name) + self.direction(node)
        return self.order_item(node, place)

    def _is_alias(self, name: str, scope: Scope) -> bool:
        return True

    def _limits(self, node: Any, outer: Scope | None, ctes: Ctes) -> str:
        place = Place(Scope(outer, self.dialect), ctes, strict=True)
        text = ""
        limit = node.args.get("limit")
        if isinstance(limit, exp.Fetch):
            text += self._fetch(limit, place)
        elif limit is not None:
            only(limit, frozenset({"expression"}))
            amount = limit.expression
            if isinstance(amount, exp.Var) and str(amount.this).upper() == "ALL":
                text += " LIMIT ALL"
            else:
                text += f" LIMIT {self.expression(amount, place)}"
        if (offset := node.args.get("offset")) is not None:
            only(offset, frozenset({"expression"}))
            if not text and self.dialect == "sqlite":
                raise Refused("sql.syntax", "OFFSET without LIMIT", "write LIMIT too")
            where = f" OFFSET {self.expression(offset.expression, place)}"
            text = where + text if isinstance(limit, exp.Fetch) else text + where
        return text

    def _fetch(self, node: Any, place: Place) -> str:
        only(node, _FETCH_KEYS)
        options = node.args.get("limit_options")
        if self.dialect == "sqlite" or (options is not None and options.args.get("percent")):
            raise Refused("sql.construct", "FETCH in this form", "write LIMIT")
        count = node.args.get("count")
        amount = "1" if count is None else self.expression(count, place)
        ties = options is not None and options.args.get("with_ties")
        return f" FETCH FIRST {amount} ROWS {'WITH TIES' if ties else 'ONLY'}"

    # FROM

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
        outputs = _renamed(policy.columns, columns, alias)
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
        scope.add(Relation(alias, _renamed(cte.columns, columns, alias)))
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
        only(node, _SUBQUERY_KEYS)
        alias, columns = self._alias_of(node, "")
        prefix, inner_ctes = self._with(node, outer, ctes)
        written = self.query(node.this, outer, inner_ctes)
        tail = self._set_tail(node, written.columns, outer, inner_ctes)
        if prefix or tail:
            raise not_rebuilt(node)
        scope.add(Relation(alias, _renamed(written.columns, columns, alias)))
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
        scope.add(Relation(alias, _renamed(written.columns, columns, alias)))
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


def _renamed(columns: Sequence[Output], names: Sequence[str], table: str) -> tuple[Output, ...]:
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


def _without_name(window: exp.Window) -> exp.Window:
    bare = window.copy()
    bare.set("this", None)
    return bare


def _meant(node: Any, projections: Sequence[Any], dialect: Any) -> exp.Column | None:
    """The column that an item of GROUP BY means, if it is one."""
    if type(node) is exp.Literal and str(node.this).isdigit():
        place = int(node.this) - 1
        node = projections[place] if place < len(projections) else None
        node = node.this if type(node) is exp.Alias else node
    if type(node) is not exp.Column or isinstance(node.this, exp.Star):
        return None
    return node
