"""Trying rules of data out: what somebody would see of a database, and whether that is what was meant."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

from msgspec import Struct

from stepwell.errors import Code, NotFound
from stepwell.nldb.model import Catalog, Column, Dialect, Kind, Table, catalog
from stepwell.orchestrator.attributes import groups_of, read_attributes
from stepwell.policy.data.access import Access, Mask, TableAccess, Tables
from stepwell.policy.data.check import Known
from stepwell.policy.data.deciding import DataDecision, DataRules
from stepwell.policy.data.port import Asker
from stepwell.policy.data.rules import Verb
from stepwell.policy.port import Decision
from stepwell.policy.ruleset import RuleSet
from stepwell.principals import Attributes

_NO_RULES: Final = DataRules()


class DataQuestion(Struct, frozen=True, kw_only=True):
    """Somebody who would look into a datasource."""

    datasource: str
    principal: str = "agent:local"
    groups: frozenset[str] = frozenset()
    attributes: Attributes = {}


class TableExplained(Struct, frozen=True, kw_only=True):
    """A table as somebody would see it; `access` is None where it is not there for him.

    `rules` had a part in it; `notes` say what could not be applied, or was lost. `on_trial` is how it
    would be with the rules on trial, where that differs; "" elsewhere.
    """

    name: str
    access: TableAccess | None
    rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    on_trial: str = ""


class DataExplanation(Struct, frozen=True, kw_only=True):
    """A datasource as somebody would see it; `is_open` where no rule in force names it."""

    policy: str
    is_open: bool
    most_rows: int
    tables: tuple[TableExplained, ...]


def asker(principal: str, groups: frozenset[str], attributes: Attributes) -> Asker:
    """Who asks, with the groups that his attributes name."""
    return Asker(principal=principal, groups=groups | groups_of(attributes), attributes=attributes)


def explained(question: DataQuestion, rules: RuleSet | None, known: Known) -> DataExplanation:
    """Every table of a datasource, as somebody would see it.

    Raises:
        NotFound: DATASOURCE_NOT_FOUND, or its tables are not known.
    """
    tables = tables_of(question.datasource, known)
    data = _NO_RULES if rules is None else rules.data
    who = asker(question.principal, question.groups, question.attributes)
    decision = data.decide(who, question.datasource, tables)
    trial = data.decide(who, question.datasource, tables, with_trials=True)
    return DataExplanation(
        policy=decision.access.policy,
        is_open=decision.is_open,
        most_rows=decision.access.most_rows,
        tables=tuple(_table(name, decision, trial) for name in sorted(tables.tables)),
    )


def _table(name: str, decision: DataDecision, trial: DataDecision) -> TableExplained:
    access, other = decision.access.tables.get(name), trial.access.tables.get(name)
    why = decision.why.get(name)
    return TableExplained(
        name=name,
        access=access,
        rules=why.rules if why else (),
        notes=why.notes if why else (),
        on_trial="" if access == other else told(other),
    )


def told(access: TableAccess | None) -> str:
    """What is there of a table, in a line."""
    return "; ".join(_told(access)) if access is not None else "not there"


def _told(access: TableAccess) -> Iterator[str]:
    columns = "every column" if access.columns is None else ", ".join(access.columns)
    yield f"reads {columns}"
    for name, mask in sorted(access.masks.items()):
        yield f"{name} as {mask}"
    if access.rows:
        yield f"rows where {access.rows}"
    if access.most_rows is not None:
        yield f"at most {access.most_rows} rows"
    for change, reach in access.changes.items():
        where = f" where {reach.rows}" if reach.rows else ""
        columns = f" of {', '.join(reach.columns)}" if reach.columns else ""
        yield f"{change}{columns}{where}"


def tables_of(datasource: str, known: Known) -> Tables:
    """What there is in a datasource.

    Raises:
        NotFound: DATASOURCE_NOT_FOUND, or its tables are not known.
    """
    found = known.catalogs.get(datasource)
    if found is not None:
        return found
    if datasource in known.catalogs:
        reason = (
            f"the tables of {datasource} cannot be read now; `stepwell datasource check` says why"
        )
    else:
        near = get_close_matches(datasource, list(known.catalogs), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        reason = (
            f"there is no datasource {datasource!r}; {hint}`stepwell datasource list` shows those that "
            "there are"
        )
    raise NotFound(reason, code=Code.DATASOURCE_NOT_FOUND)


# --- cases -------------------------------------------------------------------------------


class DataCase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case of a test as people write it: who looks at which table, and what should be there.

    What is left out is not compared. `columns` are those that may be read, or set.
    """

    data: str
    table: str
    expect: Literal["allow", "deny"]
    action: Verb = "read"
    name: str = ""
    principal: str = "agent:local"
    groups: frozenset[str] = frozenset()
    attributes: dict[str, str | tuple[str, ...]] = {}
    columns: frozenset[str] | None = None
    masks: dict[str, Mask] | None = None
    rows: str | None = None
    most_rows: int | None = None
    rules: frozenset[str] | None = None

    def decided(self, rules: RuleSet | None, known: Known) -> tuple[Decision, str]:
        """What the rules say, and how that differs from what was expected; "" when it does not.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND, or there is no such table.
            InvalidRequest: an attribute cannot be one.
        """
        tables = tables_of(self.data, known)
        if self.table not in tables.tables:
            near = get_close_matches(self.table, list(tables.tables), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise NotFound(f"there is no table {self.table!r} in {self.data}{hint}")
        given = (
            (name, (texts,) if isinstance(texts, str) else texts)
            for name, texts in self.attributes.items()
        )
        who = asker(self.principal, self.groups, read_attributes(given))
        data = _NO_RULES if rules is None else rules.data
        found = data.decide(who, self.data, tables)
        why = found.why.get(self.table)
        effect: Literal["allow", "deny"] = "allow" if self._is_there(found.access) else "deny"
        decision = Decision(
            effect,
            tuple(sorted(why.rules)) if why else (),
            "; ".join(why.notes) if why else "",
            policy=found.access.policy,
        )
        return decision, self._difference(decision, found.access.tables.get(self.table))

    def _is_there(self, access: Access) -> bool:
        table = access.tables.get(self.table)
        return table is not None and (self.action == "read" or bool(getattr(table, self.action)))

    def _difference(self, decision: Decision, table: TableAccess | None) -> str:
        if decision.effect != self.expect:
            why = f": {decision.reason}" if decision.reason else ""
            by = f" by {', '.join(decision.rules)}" if decision.rules else ""
            return f"expected {self.expect}, it is {decision.effect}{by}{why}"
        wrong = dict(self._wrong(decision, table)) if table is not None else {}
        return "; ".join(f"{name}: {what}" for name, what in wrong.items())

    def _wrong(self, decision: Decision, table: TableAccess) -> Iterator[tuple[str, str]]:
        columns, rows = table.columns or (), table.rows
        if self.action != "read" and (reach := table.changes.get(self.action)) is not None:
            columns, rows = reach.columns, reach.rows
        wanted: Mapping[str, tuple[Any, Any]] = {
            "columns": (self.columns, frozenset(columns)),
            "masks": (self.masks, dict(table.masks)),
            "rows": (self.rows, rows),
            "most_rows": (self.most_rows, table.most_rows),
            "rules": (self.rules, frozenset(decision.rules)),
        }
        for name, (expected, found) in wanted.items():
            if expected is not None and expected != found:
                yield name, f"expected {_shown(expected)}, it is {_shown(found)}"


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {mask}" for name, mask in sorted(value.items())) or "none"
    return str(value) if value not in (None, "") else "none"


class DatabaseShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What there is in a database that need not be there: tables, each with the kinds of its columns."""

    tables: dict[str, dict[str, Kind]]
    dialect: Dialect = "sqlite"

    @property
    def catalog(self) -> Catalog:
        """The same as a catalog."""
        schema = "main" if self.dialect == "sqlite" else "public"
        tables = {
            name: Table(
                name=name,
                schema=schema if "." not in name else name.partition(".")[0],
                columns=tuple(Column(name=column, kind=kind) for column, kind in columns.items()),
            )
            for name, columns in self.tables.items()
        }
        return catalog(dialect=self.dialect, version="", default_schema=schema, tables=tables)
