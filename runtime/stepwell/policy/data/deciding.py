"""What the data rules of one version open for whom: `DataRules.decide`.

Who a rule is for, Cedar says, once for a principal. What it opens is put together here, table by table.
A rule that cannot be applied opens nothing where it permits, and closes all that it names where
it forbids.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from cedarpy import _internal as cedar
from msgspec import Struct
from msgspec.structs import replace

from stepwell.policy.cedar_world import answers, entities, entity_of, policies, rule_in
from stepwell.policy.data.access import (
    MOST_ROWS,
    Access,
    Change,
    ChangeAccess,
    Mask,
    TableAccess,
    Tables,
    TableView,
    open_access,
)
from stepwell.policy.data.binding import Unbound, bound
from stepwell.policy.data.names import named
from stepwell.policy.data.openings import Opening, stricter, together
from stepwell.policy.data.port import Asker
from stepwell.policy.data.rules import CHANGES, DataRule, Verb

KEPT: Final = 256
"""Decisions that are kept ready."""

log = logging.getLogger(__name__)


class Why(Struct, frozen=True, kw_only=True):
    """How it comes that a table is as it is: for people, never for who asked.

    `rules` are those that had a part in it, `notes` what could not be applied, and what was lost
    because rules could not be put together.
    """

    rules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class DataDecision(Struct, frozen=True, kw_only=True):
    """What may be done in a database, and why, by table. A table that no rule is about has no why."""

    access: Access
    is_open: bool = False
    """Whether no rule names the datasource."""
    why: Mapping[str, Why] = {}


class DataRules:
    """The data rules of one version of a policy. Pure, but for what it remembers to be fast."""

    def __init__(
        self, rules: Iterable[DataRule] = (), *, version: str = "", is_closed: bool = False
    ) -> None:
        """`is_closed` shows nothing at all: the rules of this version are not known here."""
        self.rules = tuple(rules)
        self._version = version
        self._is_closed = is_closed
        self._kept: OrderedDict[_Key, DataDecision] = OrderedDict()

    def decide(
        self,
        asker: Asker,
        datasource: str,
        catalog: Tables,
        *,
        salt: str = "",
        most_rows: int = MOST_ROWS,
        with_trials: bool = False,
    ) -> DataDecision:
        """What may be done in a datasource; `with_trials` is as if rules on trial were in force."""
        if self._is_closed:
            return DataDecision(access=Access(tables={}, policy=self._version))
        key = _Key(asker.key, datasource, catalog.fingerprint, salt, most_rows, with_trials)
        found = self._kept.get(key)
        if found is None:
            rules = [
                rule
                for rule in self.rules
                if rule.datasource == datasource and (with_trials or rule.mode == "enforce")
            ]
            found = _decided(rules, asker, catalog, most_rows)
            access = replace(found.access, salt=salt, policy=self._version or "open")
            found = self._kept[key] = replace(found, access=access)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def names(self, datasource: str) -> bool:
        """Whether a rule in force is about this datasource, so that nothing else is there."""
        return any(rule.datasource == datasource and rule.mode == "enforce" for rule in self.rules)


class _Key(NamedTuple):
    asker: tuple[object, ...]
    datasource: str
    fingerprint: str
    salt: str
    most_rows: int
    with_trials: bool


def _decided(
    rules: Sequence[DataRule], asker: Asker, catalog: Tables, most_rows: int
) -> DataDecision:
    if not rules:
        return DataDecision(access=open_access(catalog, most_rows=most_rows), is_open=True)
    asked = _asked(rules, asker)
    known = {
        column.name.casefold() for table in catalog.tables.values() for column in table.columns
    }
    tables: dict[str, TableAccess] = {}
    why: dict[str, Why] = {}
    for name, table in catalog.tables.items():
        judge = _Judge(name, table, asked, asker, catalog.dialect, known)
        access = judge.access()
        if access is not None:
            tables[name] = access
        if judge.rules or judge.notes:
            why[name] = Why(rules=tuple(judge.rules), notes=tuple(judge.notes))
    return DataDecision(access=Access(tables=tables, most_rows=most_rows), why=why)


# --- who rules are for -------------------------------------------------------------------


class _Asked(Struct, frozen=True):
    """The rules that are for somebody; `broken` forbid, and it is not known whether they are."""

    permits: tuple[DataRule, ...]
    forbids: tuple[DataRule, ...]
    broken: frozenset[str]


_ANY: Final = {"op": "All"}


def _asked(rules: Sequence[DataRule], asker: Asker) -> _Asked:
    who = entity_of(asker.principal, asker.groups, asker.attributes)
    uid, world = who["uid"], entities([who])
    permits, _ = _matching([rule for rule in rules if rule.effect == "permit"], uid, world)
    forbids, broken = _matching([rule for rule in rules if rule.effect == "forbid"], uid, world)
    return _Asked(permits, forbids, broken)


def _matching(
    rules: Sequence[DataRule], uid: Mapping[str, str], world: "cedar.Entities"
) -> tuple[tuple[DataRule, ...], frozenset[str]]:
    """Those of the rules that are for a principal, and the ids of those that are broken.

    All of them permit, or all forbid: only then Cedar names every one that applies. What they are
    about is told apart later, so they are asked as if it was everything.
    """
    if not rules:
        return (), frozenset()
    sources = {rule.id: {**rule.source, "action": _ANY, "resource": _ANY} for rule in rules}
    request = {
        "principal": uid,
        "action": {"type": "Action", "id": "db_read"},
        "resource": {"type": "Table", "id": ""},
        "context": "{}",
    }
    (answer,) = answers([request], policies(sources), world)
    by_id = {rule.id: rule for rule in rules}
    if answer.decision == "NoDecision":
        log.error("Cedar did not decide about data, a defect of ours")
        return _all_broken(rules)
    broken: set[str] = set()
    for error in answer.diagnostics.errors:
        rule = rule_in(error)
        if rule is None or rule not in by_id:
            return _all_broken(rules)
        broken.add(rule)
    forbids = rules[0].effect == "forbid"
    found = {*answer.diagnostics.reason, *(broken if forbids else ())}
    return tuple(rule for rule in rules if rule.id in found), frozenset(broken)


def _all_broken(rules: Sequence[DataRule]) -> tuple[tuple[DataRule, ...], frozenset[str]]:
    forbids = tuple(rule for rule in rules if rule.effect == "forbid")
    return forbids, frozenset(rule.id for rule in forbids)


# --- what they open ----------------------------------------------------------------------


class _Judge:
    """Puts together what rules say of one table."""

    def __init__(
        self,
        name: str,
        table: TableView,
        asked: _Asked,
        asker: Asker,
        dialect: str,
        known: set[str],
    ) -> None:
        self._table = table
        self._columns = tuple(column.name for column in table.columns)
        self._permits = [rule for rule in asked.permits if rule.names(name)]
        self._forbids = [rule for rule in asked.forbids if rule.names(name)]
        self._broken = asked.broken
        self._asker = asker
        self._dialect = dialect
        self._known = known
        self.rules: dict[str, None] = {}
        self.notes: dict[str, None] = {}

    def access(self) -> TableAccess | None:
        """What may be done with the table; None where it is not there."""
        read = self._opening("read")
        if read is None or not read.columns:
            return None
        clear = {name: mask for name, mask in read.columns.items() if mask is None}
        changes: dict[Change, ChangeAccess] = {}
        for change in CHANGES if not self._table.is_view else ():
            found = self._opening(change, shown=clear)
            if found is not None and (found.columns or change == "delete"):
                columns = () if change == "delete" else self._ordered(found.columns)
                changes[change] = ChangeAccess(columns=columns, rows=found.rows)
        sets = [changes[one].columns for one in ("insert", "update") if one in changes]
        return TableAccess(
            columns=self._ordered(read.columns),
            masks={name: mask for name, mask in read.columns.items() if mask is not None},
            rows=read.rows,
            insert="insert" in changes,
            update="update" in changes,
            delete="delete" in changes,
            writable=tuple(
                name for name in self._columns if sets and all(name in one for one in sets)
            ),
            changes=changes,
            most_rows=read.most_rows,
        )

    def _ordered(self, columns: Iterable[str]) -> tuple[str, ...]:
        wanted = frozenset(columns)
        return tuple(name for name in self._columns if name in wanted)

    def _opening(
        self, verb: Verb, shown: Mapping[str, Mask | None] | None = None
    ) -> Opening | None:
        """What the rules open for one kind of action; `shown` bounds what may be written."""
        permits = [rule for rule in self._permits if verb in rule.verbs]
        openings = [one for rule in permits if (one := self._opened(rule, verb, shown)) is not None]
        opening, is_less = together(openings)
        if opening is None:
            return None
        if is_less:
            ids = ", ".join(rule.id for rule in permits)
            self._note(
                f"{ids} show different rows, so only what all of them show of a row is there "
                f"({verb})"
            )
        for rule in self._forbids:
            if verb in rule.verbs:
                opening = self._taken(opening, rule)
                if opening is None:
                    return None
        return opening

    def _opened(
        self, rule: DataRule, verb: Verb, shown: Mapping[str, Mask | None] | None
    ) -> Opening | None:
        """What one rule opens; None where it cannot be applied."""
        self.rules[rule.id] = None
        try:
            masks = self._masks(rule) if verb == "read" else {}
            rows = self._rows(rule)
        except Unbound as error:
            self._note(f"{rule.id} opens nothing: {error}")
            return None
        names = self._columns if rule.columns is None else self._found(rule.columns)
        columns: dict[str, Mask | None] = {name: masks.get(name) for name in names}
        if shown is not None:
            generated = {column.name for column in self._table.columns if column.generated}
            columns = dict.fromkeys(
                name for name in columns if name in shown and name not in generated
            )
        return Opening(rows=rows, columns=columns, most_rows=rule.most_rows)

    def _taken(self, opening: Opening, rule: DataRule) -> Opening | None:
        """What a rule that forbids leaves of an opening."""
        self.rules[rule.id] = None
        if rule.is_whole or rule.id in self._broken:
            if rule.id in self._broken:
                self._note(f"{rule.id} forbids the table: it cannot be applied to this principal")
            return None
        try:
            rows, masks = self._rows(rule), self._masks(rule)
            taken = frozenset(self._forbidden(rule))
        except Unbound as error:
            self._note(f"{rule.id} forbids the table: {error}")
            return None
        columns: dict[str, Mask | None] = {
            name: stricter(mask, masks.get(name))
            for name, mask in opening.columns.items()
            if name not in taken
        }
        if rows:
            left = f"(NOT {rows})"
            rows = f"({opening.rows} AND {left})" if opening.rows else left
        else:
            rows = opening.rows
        caps = [cap for cap in (opening.most_rows, rule.most_rows) if cap is not None]
        return Opening(rows=rows, columns=columns, most_rows=min(caps, default=None))

    def _rows(self, rule: DataRule) -> str:
        if rule.rows is None:
            return ""
        return bound(rule.rows, self._table, self._asker.attributes, self._dialect)

    def _found(self, names: Iterable[str]) -> Iterator[str]:
        """Columns that a rule opens: those that are there, and are meant without doubt."""
        for name in names:
            if (column := named(self._columns, name)) is not None:
                yield column

    def _forbidden(self, rule: DataRule) -> Iterator[str]:
        """Columns that a rule takes away: whatever it may mean.

        Raises:
            Unbound: one is not there any more, so what it was is not known.
        """
        for name in rule.columns or ():
            yield from self._meant(rule, name)

    def _masks(self, rule: DataRule) -> dict[str, Mask]:
        """The masks of columns.

        Raises:
            Unbound: as `_forbidden`.
        """
        return {
            column: mask for name, mask in rule.masks.items() for column in self._meant(rule, name)
        }

    def _meant(self, rule: DataRule, name: str) -> list[str]:
        found = [one for one in self._columns if one.casefold() == name.casefold()]
        if not found and (rule.table or name.casefold() not in self._known):
            raise Unbound(f"there is no column {name}, which it hides")
        return found

    def _note(self, text: str) -> None:
        self.notes[text] = None
