"""What went wrong on PostgreSQL, told without a value, and without a name that was not asked for.

PostgreSQL quotes what it failed of: the text that is no number, the row that is there already. So
its own words are told for those errors only that compiling a statement gives, which are about
what the asker wrote; of the others it is told what kind they are.
"""

from typing import Final

import psycopg

from stepwell.errors import Code
from stepwell.nldb.limits import Limits, failed, refused, timed_out
from stepwell.tools.port import ToolFailed
from stepwell.tools.secrets import Redactor

_IN_ITS_WORDS: Final = frozenset(
    {
        "42703",  # a column is not there: of a sub-query of the asker's
        "42702",  # a name that two tables have
        "42725",  # a function that is one of several
        "42803",  # neither grouped nor aggregated
        "42804",  # another type is needed
        "42846",  # a cast that there is not
        "42883",  # no such function or operator for these types
        "42P18",  # a type that cannot be told
        "42P20",  # a window function where there can be none
        "42P10",  # an ORDER BY of what is not selected
        "42P22",  # a collation that cannot be told
        "42601",
    }
)
_BY_STATE: Final = {
    "22012": "a division by zero; divide by nullif(x, 0)",
    "22003": "a number is out of the range of its type",
    "22P02": "a text cannot be read as the type that it is cast to",
    "22007": "a text cannot be read as a date or time",
    "22008": "a date or time is out of range",
    "22001": "a text is too long for its type",
    "22011": "substring() has a negative length",
    "22023": "an argument of a function is not one that it takes",
    "22025": "a LIKE pattern ends in its escape character",
    "2201B": "a regular expression is not valid",
    "2201W": "a LIMIT is negative",
    "2201X": "an OFFSET is negative",
    "21000": "a sub-query that stands for one value gives more than one row",
    "22021": "a character cannot be written in the encoding of the database",
    "22P05": "a character cannot be written in the encoding of the database",
    "22030": "JSON with the same key twice",
    "22032": "a text is not JSON",
    "2202E": "the lengths of two arrays do not fit",
}
_BY_CLASS: Final = {
    "22": "a value is not one that the operation takes",
    "42": "the statement does not fit the tables as they are now",
    "0A": "PostgreSQL does not support a part of it",
}
_BUSY: Final = frozenset({"40001", "40P01", "55P03", "53300", "57P03", "57P01", "57P02", "57P05"})


UNSENDABLE: Final = "a value cannot be sent to PostgreSQL: a text with a NUL character, or a number that is too large"


def told(error: psycopg.Error, limits: Limits) -> ToolFailed:
    """What a statement failed of, fit for a model and for the log."""
    state = error.sqlstate or ""
    if state in ("57014", "25P04"):
        return timed_out(limits)
    if state == "25006":
        return refused("sql.write", "writing", "only reading is possible")
    if state == "42501":
        return failed(
            "the datasource's login may not read all of it; whoever owns the database can see with "
            "`stepwell datasource check` what it may"
        )
    if state in ("53200", "53400", "53100"):
        return refused("sql.memory", "it needs more memory or disk than a query may have", _LESS)
    if state[:2] == "54":
        return refused("sql.size", "it makes a value that is too large, or is too complex", _LESS)
    if state in _BUSY:
        return failed("the database is busy, or is starting or stopping", retryable=True)
    if not state and isinstance(error, psycopg.DataError | psycopg.ProgrammingError):
        return failed(UNSENDABLE)
    if not state or state[:2] in ("08", "57"):
        return failed("the connection to the database was lost", retryable=True)
    if state in _IN_ITS_WORDS:
        said = " ".join((error.diag.message_primary or "").split())
        hint = _hint(error)
        return failed(f"{said}{hint}")
    what = _BY_STATE.get(state) or _BY_CLASS.get(state[:2])
    return failed(f"{what or 'PostgreSQL cannot run it'} (SQLSTATE {state})")


_LESS: Final = "read less, or aggregate first"


def _hint(error: psycopg.Error) -> str:
    is_of_types = error.sqlstate in ("42883", "42804", "42846", "42725")
    return "; cast one side to the type of the other" if is_of_types else ""


def unreachable(error: psycopg.Error, redactor: Redactor) -> ToolFailed:
    """That there is no connection, and why."""
    said = " ".join(str(error).split())
    state = error.sqlstate or ""
    is_refused = state[:2] in ("28", "3D") or "authentication failed" in said
    return ToolFailed(
        f"the datasource cannot be reached: {redactor.text(said)}",
        code=Code.QUERY_FAILED,
        retryable=not is_refused,
    )
