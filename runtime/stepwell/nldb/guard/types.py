"""Which types a value may be cast to: plain ones, written by the guard and not as they were."""

from typing import Final

from sqlglot import exp

from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.model import Dialect

_T = exp.DataType.Type

_POSTGRES: Final = {
    _T.TEXT: "text",
    _T.VARCHAR: "varchar",
    _T.CHAR: "char",
    _T.BPCHAR: "bpchar",
    _T.NAME: "text",
    _T.INT: "integer",
    _T.BIGINT: "bigint",
    _T.SMALLINT: "smallint",
    _T.DECIMAL: "numeric",
    _T.DOUBLE: "double precision",
    _T.FLOAT: "real",
    _T.BOOLEAN: "boolean",
    _T.DATE: "date",
    _T.TIME: "time",
    _T.TIMETZ: "timetz",
    _T.TIMESTAMP: "timestamp",
    _T.TIMESTAMPNTZ: "timestamp",
    _T.TIMESTAMPTZ: "timestamptz",
    _T.INTERVAL: "interval",
    _T.JSON: "json",
    _T.JSONB: "jsonb",
    _T.UUID: "uuid",
    _T.VARBINARY: "bytea",
    _T.INET: "inet",
    _T.MONEY: "money",
}
_SQLITE: Final = {
    **dict.fromkeys((_T.TEXT, _T.VARCHAR, _T.CHAR, _T.NCHAR, _T.NVARCHAR), "TEXT"),
    **dict.fromkeys(
        (_T.INT, _T.BIGINT, _T.SMALLINT, _T.TINYINT, _T.MEDIUMINT, _T.UINT, _T.UBIGINT), "INTEGER"
    ),
    **dict.fromkeys((_T.DOUBLE, _T.FLOAT), "REAL"),
    **dict.fromkeys(
        (_T.DECIMAL, _T.BOOLEAN, _T.DATE, _T.DATETIME, _T.TIMESTAMP, _T.TIMESTAMPNTZ, _T.TIME),
        "NUMERIC",
    ),
    _T.VARBINARY: "BLOB",
}
"""SQLite knows affinities only; these are what the names of the types stand for."""

_WITH_LENGTH = frozenset({"varchar", "char", "bpchar"})
_WITH_PRECISION = frozenset({"numeric", "time", "timetz", "timestamp", "timestamptz"})


def type_name(node: exp.DataType, dialect: Dialect) -> str:
    """The type as the guard writes it.

    Raises:
        Refused: by sql.type.
    """
    kind = node.this
    if dialect == "postgres" and kind is _T.ARRAY and len(node.expressions) == 1:
        inner = node.expressions[0]
        if isinstance(inner, exp.DataType) and inner.this is not _T.ARRAY:
            return f"{type_name(inner, dialect)}[]"
    # A unit makes an Interval of it: INTERVAL DAY is not what anybody casts to.
    name = (_POSTGRES if dialect == "postgres" else _SQLITE).get(kind)
    if name is None or node.args.get("values") or node.args.get("kind"):
        raise Refused(
            "sql.type",
            "a cast to a type that is not plain",
            "cast to text, integer, numeric, double precision, boolean, date, time, timestamp, "
            "interval, json or uuid"
            if dialect == "postgres"
            else "cast to TEXT, INTEGER, REAL, NUMERIC or BLOB",
        )
    if dialect == "sqlite":
        return name
    return name + _parameters(node, name)


def _parameters(node: exp.DataType, name: str) -> str:
    numbers: list[str] = []
    for parameter in node.expressions:
        number = parameter.this if isinstance(parameter, exp.DataTypeParam) else parameter
        if not isinstance(number, exp.Literal) or number.is_string or not number.this.isdigit():
            raise Refused("sql.type", "a type with something else than numbers in parentheses")
        numbers.append(str(number.this))
    most = 1 if name in _WITH_LENGTH else 2 if name == "numeric" else 1
    if not numbers:
        return ""
    if name not in _WITH_LENGTH | _WITH_PRECISION or len(numbers) > most:
        raise Refused("sql.type", f"the type {name} has no parameters like these")
    if any(int(number) > 1_000 for number in numbers):
        raise Refused("sql.type", "a type that is longer than 1,000", "cast to text")
    if name in ("timestamp", "timestamptz", "time", "timetz") and len(numbers) == 1:
        return f"({numbers[0]})"
    return f"({', '.join(numbers)})"
