"""Refuses statements that are no query, by what they would do."""

import re
from typing import Final, NoReturn

from sqlglot import exp

from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.words import words

_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "COPY", "IMPORT"})
_SCHEMA: Final = words("""CREATE DROP ALTER TRUNCATE COMMENT REINDEX ANALYZE CLUSTER REFRESH GRANT REVOKE REASSIGN
    SECURITY TRUNCATETABLE ALTERTABLE""")
_SESSION: Final = words("""SET RESET DISCARD SHOW PRAGMA USE LISTEN NOTIFY UNLISTEN LOAD LOCK PREPARE EXECUTE
    DEALLOCATE DECLARE FETCH MOVE CLOSE DO CALL CHECKPOINT VACUUM KILL CACHE""")
_TRANSACTION: Final = words("BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE TRANSACTION END ABORT")
_ATTACH: Final = frozenset({"ATTACH", "DETACH"})


_FIRST: Final = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w+)", re.DOTALL)


def refuse_kind(tree: exp.Expr, sql: str) -> NoReturn:
    """Refuses the statement of this text.

    Raises:
        Refused: always.
    """
    first = _FIRST.match(sql)
    named = type(tree).__name__.upper()
    word = named if named in _WRITES else first.group(1).upper() if first else named
    for kinds, rule, what in (
        (_WRITES, "sql.write", "changes rows"),
        (_SCHEMA, "sql.schema", "changes the schema"),
        (_SESSION, "sql.session", "reaches for the session or the server"),
        (_TRANSACTION, "sql.transaction", "opens or ends a transaction"),
        (_ATTACH, "sql.attach", "reaches for another file"),
    ):
        if word in kinds:
            raise Refused(rule, f"{word} {what}", "only SELECT, WITH and VALUES are possible here")
    raise Refused(
        "sql.statement",
        "it is not a query",
        "begin with SELECT, WITH or VALUES; ask without EXPLAIN",
    )
