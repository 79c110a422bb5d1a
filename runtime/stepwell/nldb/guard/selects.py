"""Writes a SELECT anew: every name as what it means."""

import re
from abc import ABC
from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs
from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.refusals import Refused, listed, nearest
from stepwell.nldb.guard.relations import Output
from stepwell.nldb.guard.scales import scale_in
from stepwell.nldb.guard.scopes import Ctes, Relation, Scope, fold_identifier, masked
from stepwell.nldb.guard.sources import Sources
from stepwell.nldb.guard.words import words
from stepwell.nldb.guard.writer import Place, Written, not_rebuilt, only

_SELECT_KEYS: Final = words("""with_ kind expressions distinct from_ joins where group having windows order limit
    offset""")
_GROUP_KEYS: Final = frozenset({"expressions"})
_FETCH_KEYS: Final = frozenset({"direction", "count", "limit_options"})
_UNCOMPARABLE: Final = frozenset(
    {"json", "xml", "point", "box", "polygon", "line", "lseg", "circle", "path"}
)


class Selects(Sources, ABC):
    """SELECT, GROUP BY, ORDER BY and LIMIT."""

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
