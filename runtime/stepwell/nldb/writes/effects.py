"""What a database does by itself when rows change: triggers, rules, and foreign keys that act."""

import hashlib
import re
from typing import Final

from msgspec import Struct

from stepwell.nldb.writes.ask import Ask, Asking
from stepwell.nldb.writes.job import Batch, Effect, Job, Row
from stepwell.quoting import quoted

_EVENT: Final = re.compile(r"\b(INSERT|UPDATE|DELETE)\b(?:\s+OF\s+[^;]+?)?\s+ON\b", re.IGNORECASE)

_POSTGRES_TRIGGERS: Final = """
SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid), md5(p.prosrc)
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = $1::regclass AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
UNION ALL
SELECT 'rule', r.rulename, pg_get_ruledef(r.oid), ''
FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::regclass AND r.ev_type <> '1'
ORDER BY 1, 2
"""
_POSTGRES_KEYS: Final = """
SELECT k.conname, n.nspname, c.relname, fn.nspname, f.relname, k.confdeltype, k.confupdtype,
    (SELECT string_agg(a.attname, chr(31) ORDER BY x.n) FROM unnest(k.conkey) WITH ORDINALITY
     AS x(num, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.num),
    (SELECT string_agg(a.attname, chr(31) ORDER BY x.n) FROM unnest(k.confkey) WITH ORDINALITY
     AS x(num, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.num)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY n.nspname, c.relname, k.conname
"""
_SQLITE_KEYS: Final = """
SELECT '', 'main', m.name, 'main', k."table", k.on_delete, k.on_update,
    group_concat(k."from", char(31)), group_concat(coalesce(k."to", ''), char(31))
FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) k
WHERE m.type = 'table' GROUP BY m.name, k.id ORDER BY m.name, k.id
"""
_ACTS: Final = {
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
    "CASCADE": "CASCADE",
    "SET NULL": "SET NULL",
    "SET DEFAULT": "SET DEFAULT",
}


class Rule(Struct, frozen=True, kw_only=True):
    """A foreign key that changes its own table when the row that it refers to does."""

    name: str
    schema: str
    bare: str
    child: str
    """By its name in the catalog."""
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    verb: str
    act: str
    parent: tuple[str, str] | None = None
    """The table that it follows a cascade from; None where that is the changed table itself."""

    @property
    def place(self) -> tuple[str, str]:
        """The table that it changes."""
        return self.schema, self.bare

    def counting(self, job: Job, batch: Batch, within: str) -> str:
        """Counts the rows that it would meet, and those of them for which `within` is true."""
        own = ", ".join(quoted(name) for name in self.columns)
        other = ", ".join(quoted(name) for name in self.referred)
        met = f"SELECT {other} FROM {batch.target} WHERE {batch.where}"  # noqa: S608
        own = f"({own})" if len(self.columns) > 1 else own
        child = f"{quoted(self.schema)}.{quoted(self.bare)}"
        inside = f"count(CASE WHEN {within} THEN 1 END)" if within else "count(*)"
        return f"SELECT count(*), {inside} FROM {child} WHERE {own} IN ({met})"  # noqa: S608

    def effect(self, rows: int | None) -> Effect:
        """It as it is shown."""
        what = "deletes rows that refer to it" if self.verb == "delete" else f"does {self.act}"
        return Effect(kind="cascade", name=self.name, table=self.child, what=what, rows=rows)


def triggers(job: Job) -> Asking[list[Effect]]:
    """The triggers and rules of the table that fire on such a change."""
    if job.dialect == "postgres":
        rows = yield Ask(_POSTGRES_TRIGGERS, (job.table,))
    else:
        rows = yield Ask(
            "SELECT 'trigger', name, sql, '' FROM sqlite_master WHERE type = 'trigger' "
            "AND lower(tbl_name) = lower(?1) ORDER BY name",
            (job.bare,),
        )
    return [
        Effect(
            kind="rule" if kind == "rule" else "trigger",
            name=name,
            table=job.bare,
            what=f"runs on {job.kind.upper()}",
            body=hashlib.sha256(f"{sql}\n{body}".encode()).hexdigest(),
        )
        for kind, name, sql, body in (map(str, row) for row in rows)
        if _fires(job, sql)
    ]


def _fires(job: Job, sql: str) -> bool:
    wanted = job.kind.upper()
    if job.dialect == "postgres":
        head = sql.partition(" ON ")[0].upper()
        return wanted in head
    event = _EVENT.search(sql)
    return event is None or event[1].upper() == wanted


def cascades(job: Job) -> Asking[list[Rule]]:
    """The foreign keys that act on such a change, those of the table itself first."""
    if job.kind == "insert":
        return []
    rows = yield Ask(_POSTGRES_KEYS if job.dialect == "postgres" else _SQLITE_KEYS)
    keys = [_key(row) for row in rows]
    start = _Met((job.schema, job.bare), job.kind, None)
    found: list[Rule] = []
    pending, seen = [start], {(start.place, start.kind)}
    while pending:
        met = pending.pop(0)
        for key in keys:
            rule = key.rule(job, met) if key.refers_to(met.place, job) else None
            if rule is None:
                continue
            found.append(rule)
            if (rule.place, rule.verb) not in seen:
                seen.add((rule.place, rule.verb))
                pending.append(_Met(rule.place, rule.verb, rule.place))
    return found


class _Met(Struct, frozen=True):
    """A table whose rows change, how, and by which cascade."""

    place: tuple[str, str]
    kind: str
    parent: tuple[str, str] | None


class _Key(Struct, frozen=True):
    name: str
    schema: str
    bare: str
    to_schema: str
    to_bare: str
    on_delete: str
    on_update: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]

    def refers_to(self, place: tuple[str, str], job: Job) -> bool:
        """Whether it refers to this table."""
        own = (self.to_schema, self.to_bare)
        if job.dialect == "postgres":
            return own == place
        return [name.lower() for name in own] == [name.lower() for name in place]

    def rule(self, job: Job, met: _Met) -> Rule | None:
        """What it does when rows of the table change that it refers to; None where nothing."""
        act = _ACTS.get(self.on_delete if met.kind == "delete" else self.on_update)
        referred = self.referred if all(self.referred) else job.key
        is_direct = met.parent is None
        if act is None or (
            met.kind == "update" and is_direct and not set(referred) & set(job.assigned)
        ):
            return None
        return Rule(
            name=self.name,
            schema=self.schema,
            bare=self.bare,
            child=self.bare if self.schema == job.default_schema else f"{self.schema}.{self.bare}",
            columns=self.columns,
            referred=referred,
            verb="delete" if met.kind == "delete" and act == "CASCADE" else "update",
            act=act,
            parent=met.parent,
        )


def _key(row: Row) -> _Key:
    name, schema, bare, to_schema, to_bare, on_delete, on_update, columns, referred = (
        "" if cell is None else str(cell) for cell in row
    )
    return _Key(
        name,
        schema,
        bare,
        to_schema,
        to_bare,
        on_delete,
        on_update,
        tuple(columns.split("\x1f")),
        tuple(referred.split("\x1f")),
    )
