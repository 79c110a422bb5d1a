"""The two dialects as sqlglot reads them, and how names fold in them."""

import logging

from sqlglot.dialects.dialect import Dialect as Parsing
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite

from stepwell.nldb.model import Dialect

_PARSING: dict[Dialect, Parsing] = {"sqlite": SQLite(), "postgres": Postgres()}
# It warns of statements that it does not know, with their text; a log never holds a value.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def parser_of(dialect: Dialect) -> Parsing:
    """Sqlglot's own dialect."""
    return _PARSING[dialect]


def folded(name: str, *, quoted: bool, dialect: Dialect) -> str:
    """The name as the engine compares it: only ASCII letters have two cases.

    SQLite never tells them apart, PostgreSQL does where the name is quoted.
    """
    return name if quoted and dialect == "postgres" else name.translate(_LOWER)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
