"""Reads rebuilt PostgreSQL again with PostgreSQL's own grammar, and sees that it is what was meant.

Every table must stand in a policy sub-query, letter for letter; every other relation must be a
common table expression of ours; every function and type must be one that is allowed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

import postgast
from google.protobuf.message import DecodeError

from stepwell.nldb.guard.functions import Functions
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.words import words

_NODES: Final = words("""ParseResult RawStmt Node List SelectStmt WithClause CommonTableExpr ResTarget ColumnRef
    A_Star A_Const Integer Float Boolean String A_Expr BoolExpr NullTest BooleanTest FuncCall
    TypeCast TypeName CaseExpr CaseWhen CoalesceExpr MinMaxExpr SubLink RowExpr A_ArrayExpr
    A_Indirection A_Indices CollateClause ParamRef SQLValueFunction GroupingSet GroupingFunc
    WindowDef NamedArgExpr SortBy JoinExpr RangeVar RangeSubselect RangeFunction Alias ColumnDef""")
_WRITING: Final = words("InsertStmt UpdateStmt DeleteStmt SetToDefault")
_SUGAR: Final = words("""extract timezone substring position overlay btrim ltrim rtrim like_escape
    similar_to_escape overlaps normalize is_normalized""")
"""What the grammar itself makes calls of, in pg_catalog."""
_TYPES: Final = words("""text varchar bpchar int2 int4 int8 numeric float4 float8 bool date time timetz timestamp
    timestamptz interval json jsonb uuid bytea inet money""")
_OPERATORS: Final = words("""= <> > >= < <= + - * / % ^ || & | # << >> ~ ~* !~ !~* ~~ !~~ ~~* !~~* -> ->> #> #>> @> <@
    && ? ?| ?& @? #- BETWEEN""") | {
    "NOT BETWEEN",
    "BETWEEN SYMMETRIC",
    "NOT BETWEEN SYMMETRIC",
}
_TIMES: Final = range(1, 10)
"""The values of the enumeration of CURRENT_DATE, CURRENT_USER and others that tell a time."""


def check_again(
    sql: str,
    policies: Iterable[str],
    ctes: Iterable[str],
    functions: Functions,
    *,
    target: tuple[str, str] | None = None,
) -> None:
    """Sees that the statement reads policy sub-queries only, and calls what is allowed only.

    `target` is the schema and name of the one table that it changes.

    Raises:
        Refused: by sql.second_parser, or sql.depth where its messages nest too deep.
    """
    _Second(sql, list(policies), frozenset(ctes), functions, target).check(_tree(sql))


def _tree(sql: str) -> Any:
    try:
        return postgast.parse(sql)
    except DecodeError as error:
        raise Refused(
            "sql.depth",
            "the SQL is nested too deep, or chains more than about forty operators",
            "split it with common table expressions, or use IN for many values",
        ) from error
    except postgast.PgQueryError as error:
        raise _not_meant("PostgreSQL's grammar does not read the rebuilt statement") from error


class _Second:
    def __init__(
        self,
        sql: str,
        policies: list[str],
        ctes: frozenset[str],
        functions: Functions,
        target: tuple[str, str] | None,
    ) -> None:
        self._sql = sql.encode()
        self._spans = [span for text in policies for span in _spans(self._sql, text)]
        self._ctes = ctes
        self._functions = functions
        self._target = target
        self._nodes = _NODES if target is None else _NODES | _WRITING

    def check(self, tree: Any) -> None:
        if len(tree.stmts) != 1:
            raise _not_meant("there is more than one statement")
        pending = [tree]
        while pending:
            message = pending.pop()
            name = message.DESCRIPTOR.name
            if name not in self._nodes:
                raise _not_meant(f"it holds {name}")
            judge = self._judges.get(name)
            if judge is not None:
                judge(self, message)
            for field, value in message.ListFields():
                if field.message_type is not None:
                    if field.is_repeated:
                        pending.extend(value)
                    else:
                        pending.append(value)

    def _is_ours(self, location: int) -> bool:
        """Whether the place is inside of a policy sub-query, which its author wrote."""
        return any(start <= location < end for start, end, _ in self._spans)

    def _table(self, message: Any) -> None:
        if message.catalogname:
            raise _not_meant("a table of another database")
        if not message.schemaname and message.relname in self._ctes:
            return
        at = message.location
        if any(at - start in offsets for start, _, offsets in self._spans if start <= at):
            return
        if self._target is None or self._target != (message.schemaname, message.relname):
            raise _not_meant("a table outside of its policy sub-query")
        self._target = None  # once

    def _function(self, message: Any) -> None:
        names = [part.string.sval for part in message.funcname]
        is_known = (len(names) == 1 and names[0] in self._functions) or (
            len(names) == 2 and names[0] == "pg_catalog" and names[1] in _SUGAR
        )
        if not is_known and not self._is_ours(message.location):
            raise _not_meant(f"the function {'.'.join(names)}")

    def _type(self, message: Any) -> None:
        names = [part.string.sval for part in message.names]
        if names[:1] == ["pg_catalog"]:
            names = names[1:]
        is_known = len(names) == 1 and names[0] in _TYPES and not message.setof
        if not is_known and not self._is_ours(message.location):
            raise _not_meant(f"the type {'.'.join(names)}")

    def _operator(self, message: Any) -> None:
        names = [part.string.sval for part in message.name]
        if (len(names) != 1 or names[0] not in _OPERATORS) and not self._is_ours(message.location):
            raise _not_meant(f"the operator {'.'.join(names)}")

    def _value(self, message: Any) -> None:
        if message.op not in _TIMES and not self._is_ours(message.location):
            raise _not_meant("a value of the session")

    _judges: ClassVar[Mapping[str, Callable[..., None]]] = {
        "RangeVar": _table,
        "FuncCall": _function,
        "TypeName": _type,
        "A_Expr": _operator,
        "SQLValueFunction": _value,
    }


_offsets: dict[str, frozenset[int]] = {}


def _spans(sql: bytes, policy: str) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Where the table's sub-query stands in the statement, and where in it tables are named."""
    text = policy.encode()
    offsets = _offsets_of(policy)
    start = sql.find(text)
    while start >= 0:
        yield start, start + len(text), offsets
        start = sql.find(text, start + 1)


def _offsets_of(text: str) -> frozenset[int]:
    known = _offsets.get(text)
    if known is None:
        if len(_offsets) > 4096:
            _offsets.clear()
        before = "" if text.startswith("(SELECT ") else "SELECT "  # a row filter by itself
        offsets = (at - len(before) for at in _named_tables(_tree(before + text)))
        known = _offsets[text] = frozenset(offsets)
    return known


def _named_tables(tree: Any) -> Iterator[int]:
    pending = [tree]
    while pending:
        message = pending.pop()
        if message.DESCRIPTOR.name == "RangeVar":
            yield message.location
        for field, value in message.ListFields():
            if field.message_type is not None:
                if field.is_repeated:
                    pending.extend(value)
                else:
                    pending.append(value)


def _not_meant(what: str) -> Refused:
    return Refused(
        "sql.second_parser",
        f"the rebuilt statement is not what the guard meant: {what}",
        "write the query in a plainer way",
    )
