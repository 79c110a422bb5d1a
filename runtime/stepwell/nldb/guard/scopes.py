"""What names mean at one place of a statement: tables, columns, common table expressions."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlglot import exp

from stepwell.nldb.guard.dialects import folded, quoted
from stepwell.nldb.guard.refusals import Refused, listed, nearest
from stepwell.nldb.guard.relations import Output, PolicyTable
from stepwell.nldb.model import Dialect


class Relation(NamedTuple):
    """Something in a FROM clause."""

    alias: str
    """Folded; empty where it has none."""
    columns: tuple[Output, ...]
    policy: PolicyTable | None = None
    is_scalar: bool = False
    """Whether its name alone means its one column, as with a function of PostgreSQL."""
    is_changed: bool = False
    """Whether it is the table of a change, of which the masks are not in the way of the values."""


class Cte(NamedTuple):
    """A common table expression, under the name that the guard gives it."""

    name: str
    columns: tuple[Output, ...]


Ctes = Mapping[str, Cte | None]
"""By folded name; None is one that cannot be read yet."""


class Found(NamedTuple):
    """What a column reference means."""

    text: str
    masked: bool
    relation: Relation | None = None
    column: str = ""
    growth: int = 1
    recurs: bool = False


class Scope:
    """The relations of one SELECT, inside of the scopes around it."""

    def __init__(self, outer: "Scope | None", dialect: Dialect) -> None:
        self.outer = outer
        self.dialect: Dialect = dialect
        self.relations: list[Relation] = []
        self.merged: dict[str, bool] = {}
        """Columns of USING and NATURAL, and whether they are masked."""
        self.aliases: dict[str, bool] = {}
        """Names of the select list, and whether they are masked."""
        self.plainly_used: dict[tuple[str, str], None] = {}
        """Columns outside of aggregates, by (relation, column)."""

    def add(self, relation: Relation) -> None:
        """Takes a relation in.

        Raises:
            Refused: by sql.ambiguous, there is one of this name.
        """
        if relation.alias and any(other.alias == relation.alias for other in self.relations):
            raise Refused(
                "sql.ambiguous",
                f"two tables are called {relation.alias}",
                "give each of them an alias of its own",
            )
        self.relations.append(relation)

    def merge(self, name: str, right: Relation) -> None:
        """Makes one column of those that a join compares by name.

        Raises:
            Refused: by sql.column or sql.masked.
        """
        left = self.merged.get(name)
        for relation in self.relations:
            if relation is not right:
                for column in relation.columns:
                    if column.name == name:
                        left = left or column.masked
        other = [column for column in right.columns if column.name == name]
        if left is None or not other:
            raise Refused(
                "sql.column",
                f"the tables of the join do not both have a column {name}",
                "join with ON and name both columns",
            )
        if left or other[0].masked:
            raise masked(name)
        self.merged[name] = False

    def find(
        self, node: exp.Column, *, with_aliases: bool = False, aggregated: bool = False
    ) -> Found:
        """What the reference means.

        Raises:
            Refused: by sql.column, sql.ambiguous, sql.whole_row or sql.construct.
        """
        name = self.fold(node.this)
        qualifier = node.args.get("table")
        if node.args.get("catalog") or (node.args.get("db") and not self._has_schema(node)):
            raise Refused(
                "sql.construct",
                "a column that is named with its schema",
                "give the table an alias, and write alias.column",
            )
        scope: Scope | None = self
        while scope is not None:
            found = (
                scope.qualified(scope.fold(qualifier), name)
                if qualifier is not None
                else scope.plain(name, with_aliases=with_aliases and scope is self)
            )
            if found is not None:
                if found.relation is not None and not aggregated:
                    scope.plainly_used[found.relation.alias, name] = None
                return found
            scope = scope.outer
        raise self._unknown(name, None if qualifier is None else self.fold(qualifier))

    def whole(self, node: exp.Column) -> Relation | None:
        """The relation that is meant as a whole, if it is not one of its columns."""
        qualifier = node.args.get("table")
        if node.args.get("db") or (qualifier is not None) != isinstance(node.this, exp.Star):
            return None
        name = self.fold(node.this if qualifier is None else qualifier)
        found: Relation | None = None
        scope: Scope | None = self
        while scope is not None:
            if qualifier is None and scope.has(name):
                return None
            named = (one for one in scope.relations if one.alias == name and not one.is_scalar)
            found = found or next(named, None)
            scope = scope.outer
        return found

    def has(self, name: str) -> bool:
        """Whether a column of this scope goes by the name."""
        columns = (column for relation in self.relations for column in relation.columns)
        return name in self.merged or any(column.name == name for column in columns)

    def _has_schema(self, node: exp.Column) -> bool:
        """Whether it names a table by the schema that the table is of."""
        schema, table = self.fold(node.args["db"]), self.fold(node.args["table"])
        scope: Scope | None = self
        while scope is not None:
            for one in scope.relations:
                if one.alias == table and one.policy is not None:
                    of = one.policy.table
                    same = (
                        folded(of.schema, quoted=True, dialect=self.dialect),
                        folded(of.bare, quoted=True, dialect=self.dialect),
                    )
                    return same == (schema, table)
            scope = scope.outer
        return False

    def fold(self, identifier: exp.Expr) -> str:
        """The identifier as it is compared."""
        return fold_identifier(identifier, self.dialect)

    def qualified(self, alias: str, name: str) -> Found | None:
        """The column of the relation of this scope, if there is such a relation."""
        for relation in self.relations:
            if relation.alias == alias:
                return self._in(relation, name) or self._raise_unknown(name, alias)
        return None

    def plain(self, name: str, *, with_aliases: bool) -> Found | None:
        """The column of this scope that goes by the name alone, if there is one."""
        if name in self.merged:
            return Found(quoted(name), self.merged[name])
        hits = [hit for relation in self.relations if (hit := self._in(relation, name))]
        if len(hits) > 1:
            owners = [hit.relation.alias for hit in hits if hit.relation]
            raise Refused(
                "sql.ambiguous",
                f"the column {name} is in several tables: {listed(owners)}",
                f"write {owners[0]}.{name} or another one",
            )
        if hits:
            return hits[0]
        if with_aliases and name in self.aliases:
            return Found(quoted(name), self.aliases[name])
        for relation in self.relations:
            if relation.alias == name and relation.is_scalar:
                one = relation.columns[0]
                return Found(quoted(name), one.masked, relation, "", one.growth, one.recurs)
            if relation.alias == name:
                raise whole_row(name)
        return None

    def _in(self, relation: Relation, name: str) -> Found | None:
        columns = [column for column in relation.columns if column.name == name]
        if not columns:
            return None
        if len(columns) > 1:
            raise Refused(
                "sql.ambiguous",
                f"{relation.alias or 'the sub-query'} has several columns {name}",
                "give them names of their own with AS",
            )
        text = f"{quoted(relation.alias)}.{quoted(name)}" if relation.alias else quoted(name)
        one = columns[0]
        return Found(text, one.masked, relation, name, one.growth, one.recurs)

    def _raise_unknown(self, name: str, alias: str) -> Found:
        raise self._unknown(name, alias)

    def _unknown(self, name: str, alias: str | None) -> Refused:
        known: dict[str, None] = {}
        relations: dict[str, None] = {}
        scope: Scope | None = self
        while scope is not None:
            for relation in scope.relations:
                relations[relation.alias] = None
                if alias is None or relation.alias == alias:
                    known |= dict.fromkeys(column.name for column in relation.columns)
            scope = scope.outer
        if alias is not None and alias not in relations:
            return Refused(
                "sql.table",
                f"no table of the query is called {alias}",
                nearest(alias, relations) or f"there are {listed(filter(None, relations))}",
            )
        return Refused(
            "sql.column",
            f"there is no column {name}" + (f" in {alias}" if alias else "") + " to read",
            nearest(name, known)
            or (f"there are {listed(known)}" if known else "name the table in FROM"),
        )


def fold_identifier(identifier: exp.Expr, dialect: Dialect) -> str:
    """An identifier of the tree as it is compared.

    Raises:
        Refused: by sql.construct: it is none.
    """
    name = identifier.this
    if not isinstance(identifier, exp.Identifier) or not isinstance(name, str):
        raise Refused("sql.construct", "a name that is not a name")
    return folded(name.removeprefix("\x00"), quoted=identifier.quoted, dialect=dialect)


def masked(name: str) -> Refused:
    """The refusal of what depends on the value of a masked column."""
    return Refused(
        "sql.masked",
        f"the column {name} is masked, so its value can be shown but not compared, counted, "
        "grouped or sorted by",
        "leave it out of conditions, GROUP BY, ORDER BY, joins and aggregates",
    )


def whole_row(name: str) -> Refused:
    """The refusal of a table where a value belongs."""
    return Refused(
        "sql.whole_row",
        f"{name} is a table here, not a column",
        "name the columns that you need",
    )
