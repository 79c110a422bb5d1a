"""Checks a statement that reads, and writes it anew."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlglot import exp

from stepwell.nldb.guard.cache import Recent
from stepwell.nldb.guard.functions import with_own
from stepwell.nldb.guard.kinds import refuse_kind
from stepwell.nldb.guard.parsing import parsed
from stepwell.nldb.guard.queries import Queries
from stepwell.nldb.guard.refusals import Refusal, Refused
from stepwell.nldb.guard.relations import Readable, readable, told
from stepwell.nldb.guard.second_parser import check_again
from stepwell.nldb.guard.telling import may_tell
from stepwell.nldb.model import Access, Catalog

Parameters = Mapping[str, Any] | Sequence[Any]


class Checked(Struct, frozen=True, kw_only=True):
    """A statement that may run: `sql` with `parameters` in their order, and nothing else."""

    sql: str
    """Rebuilt. Its parameters are `$1`, `$2`, ... on PostgreSQL and `?1`, `?2`, ... on SQLite."""
    told: str
    """The same as the asker may read it: without what the policy does to the tables."""
    parameters: tuple[Any, ...] = ()
    tables: tuple[str, ...]
    """Those that are read, by the names of the catalog."""
    columns: tuple[str, ...]
    """Those that are read, as `table.column`."""
    outputs: tuple[str, ...]
    """The names of the result's columns."""
    written: str
    """What the asker wrote."""
    shape: str
    """What is told, with `?` for every literal: fit for a log."""
    fingerprint: str
    """The same for statements that differ in their literals only."""
    masked: tuple[str, ...] = ()
    """The columns of the result that show a mask, or depend on one."""
    row_filtered: tuple[str, ...] = ()
    """The tables of which the policy may hide rows."""
    scales: tuple[int | None, ...] = ()
    """The digits of the result's decimals after the point, by column, as in `guard.scales`."""
    kept: int = 0
    """Whether one value is made of many rows on PostgreSQL, and how many times longer these can be
    than what is read; 0 where none is."""
    limit_known: int | None = None
    """The rows that the statement itself limits its result to."""


class _Verdict(Struct, frozen=True):
    checked: Checked | None
    parameters: tuple[str, ...] = ()
    refusal: Refusal | None = None


_LITERAL: Final = re.compile(
    r"""("(?:[^"]|"")*")|'(?:[^']|'')*'|(?<![\w$?])\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"""
)
_policies: Recent[tuple[str, str], Readable] = Recent(64)
_verdicts: Recent[tuple[str, str, str], _Verdict] = Recent(1024)


def check_read(
    sql: str, catalog: Catalog, access: Access, *, params: Parameters | None = None
) -> Checked:
    """The statement as it may run, if it reads only what the access opens.

    Raises:
        Refused: it does not, or is not a single query that the guard can rebuild.
    """
    key = (sql, catalog.fingerprint, access.digest)
    verdict = _verdicts.get(key)
    if verdict is None:
        verdict = _judge(sql, catalog, access)
        _verdicts.put(key, verdict)
    if verdict.refusal is not None:
        refusal = verdict.refusal
        raise Refused(refusal.rule, refusal.message, refusal.hint)
    assert verdict.checked is not None
    if not verdict.parameters and not params:
        return verdict.checked
    values = bound(verdict.parameters, params)
    return _with_parameters(verdict.checked, values)


def policies_of(catalog: Catalog, access: Access) -> Readable:
    """What may be read, made once for a catalog and an access."""
    key = (catalog.fingerprint, access.digest)
    made = _policies.get(key)
    if made is None:
        made = readable(catalog, access)
        _policies.put(key, made)
    return made


def bound(names: Sequence[str], params: Parameters | None) -> tuple[Any, ...]:
    """The values of the parameters in the order of their places.

    Raises:
        Refused: by sql.parameter: one has no value, or a value has no place.
    """
    given: Mapping[str, Any]
    if params is None:
        given = {}
    elif isinstance(params, Mapping):
        given = params
    else:
        given = {str(place + 1): value for place, value in enumerate(params)}
    missing = [name for name in names if name not in given]
    unused = [name for name in given if name not in names]
    if missing or unused:
        what = (
            f"no value for {', '.join(missing)}" if missing else f"no place for {', '.join(unused)}"
        )
        raise Refused("sql.parameter", f"there is {what}", "give each parameter exactly one value")
    values = tuple(given[name] for name in names)
    for name, value in zip(names, values, strict=True):
        if not _is_plain(value):
            raise Refused(
                "sql.parameter",
                f"the value of {name} is not one that a database takes",
                "give a text without control characters, a number, true, false, null, or a list "
                "of those",
            )
    return values


def _is_plain(value: object) -> bool:
    match value:
        case None | bool() | float() | bytes() | Decimal() | date() | time() | UUID():
            return True
        case int():
            return abs(value) < _LARGE
        case str():
            return "\x00" not in value and (value.isascii() or not _SURROGATE.search(value))
        case list() | tuple():
            items: Sequence[object] = value
            return all(not isinstance(item, list | tuple) and _is_plain(item) for item in items)
        case _:
            return False


_LARGE: Final = 10**100
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def shape_of(sql: str) -> str:
    """Rebuilt SQL with `?` for every literal."""
    return _LITERAL.sub(lambda found: found.group(1) or "?", sql)


def fingerprint_of(shape: str) -> str:
    """What statements of the same shape have in common."""
    return hashlib.sha256(shape.encode()).hexdigest()[:16]


def _judge(sql: str, catalog: Catalog, access: Access) -> _Verdict:
    try:
        return _checked(sql, catalog, access)
    except Refused as refused:
        return _Verdict(None, (), refused.refusal)
    except RecursionError:
        return _Verdict(
            None, (), Refusal("sql.depth", "the SQL is nested too deep", "split it with WITH")
        )


def _checked(sql: str, catalog: Catalog, access: Access) -> _Verdict:
    functions = with_own(catalog.dialect, access.functions)
    tree = parsed(sql, catalog.dialect, functions)
    if not isinstance(tree, exp.Query | exp.Values):
        refuse_kind(tree, sql)
    policies = policies_of(catalog, access)
    is_fenced = policies.is_filtered and may_tell(tree, functions, catalog.dialect)
    writer = Queries(policies, functions, is_fenced=is_fenced)
    written = writer.query(tree, None, {})
    if catalog.dialect == "postgres":
        check_again(written.text, writer.texts, writer.ctes, functions)
    shown = told(written.text, writer.tables.values(), catalog)
    shape = shape_of(shown)
    checked = Checked(
        sql=written.text,
        told=shown,
        tables=tuple(writer.tables),
        columns=tuple(f"{table}.{column}" for table, column in writer.columns_read),
        outputs=tuple(column.name for column in written.columns),
        written=sql,
        shape=shape,
        fingerprint=fingerprint_of(shape),
        masked=tuple(column.name for column in written.columns if column.masked),
        scales=tuple(None if column.masked else column.scale for column in written.columns),
        row_filtered=tuple(name for name, table in writer.tables.items() if table.is_filtered),
        kept=writer.kept if catalog.dialect == "postgres" else 0,
        limit_known=_limit(tree),
    )
    return _Verdict(checked, tuple(writer.parameters))


def _with_parameters(checked: Checked, values: tuple[Any, ...]) -> Checked:
    return msgspec.structs.replace(checked, parameters=values)


def _limit(tree: Any) -> int | None:
    limit = tree.args.get("limit")
    amount = limit.args.get("expression", limit.args.get("count")) if limit is not None else None
    if isinstance(amount, exp.Literal) and str(amount.this).isdigit():
        return int(amount.this)
    return None
