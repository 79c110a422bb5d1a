"""Whether a file is a SQLite database that can be read."""

import sqlite3

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.limits import Limits
from stepwell.nldb.sqlite.sandbox import open_plain, refuse_own
from stepwell.tools.port import ToolFailed


def probe(path: str, limits: Json) -> int:
    """The number of tables and views; proves that the file is a database that can be read.

    Raises:
        ToolFailed: QUERY_FAILED, it is none, or cannot be read.
    """
    try:
        with open_plain(path, msgspec.convert(limits, Limits)) as connection:
            refuse_own(connection)
            (count,) = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view')"
            ).fetchone()
            return int(count)
    except sqlite3.Error as error:
        raise ToolFailed(str(error), code=Code.QUERY_FAILED, retryable=False) from error
