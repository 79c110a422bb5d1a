"""Why a statement is refused: a rule, what is wrong, what to write instead.

A refusal names only what the asker wrote, and what the asker may see; never a value, and never
whether something hidden exists.
"""

import difflib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

RULES: Final = {
    "sql.length": "the text is longer than the guard reads",
    "sql.tokens": "the statement has more parts than the guard reads",
    "sql.depth": "the statement is nested deeper than the guard reads",
    "sql.characters": "a character that can be mistaken for another one, or is not seen",
    "sql.syntax": "the statement cannot be read in this dialect",
    "sql.one_statement": "none, or more than one",
    "sql.write": "it changes rows, where only reading is possible",
    "sql.schema": "it changes the schema",
    "sql.session": "it changes or shows the session, or the database's settings",
    "sql.transaction": "it opens or ends a transaction",
    "sql.attach": "it reaches for another file or database",
    "sql.statement": "another kind of statement",
    "sql.construct": "a part of SQL that the guard does not rebuild",
    "sql.function": "a function that is not known to only compute",
    "sql.arguments": "a function with arguments that are not bounded",
    "sql.growth": "functions that make a long text out of a short one",
    "sql.operator": "an operator that is not known to only compute",
    "sql.type": "a type that is not plain",
    "sql.table": "a table that is not there, or may not be read",
    "sql.column": "a column that is not there, or may not be read",
    "sql.ambiguous": "a name that two tables have",
    "sql.whole_row": "a table where a column is needed",
    "sql.masked": "a masked column where its value would decide",
    "sql.parameter": "a parameter without a value, or of another style",
    "sql.policy": "the data policy itself cannot be applied",
    "sql.where": "a change without a WHERE that names a column",
    "sql.columns": "a change that does not name its columns",
    "sql.not_writable": "a change of a table or column that the policy does not open",
    "sql.second_parser": "the rebuilt statement is not what the guard meant",
}
"""Every rule there is, and what it is about."""


class Refusal(Struct, frozen=True):
    """A refusal as data."""

    rule: str
    message: str
    hint: str = ""


class Refused(Exception):
    """The guard does not let the statement run; write another one, as the hint says.

    `rule` is one of `RULES`.
    """

    def __init__(self, rule: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.refusal = Refusal(rule, message, hint)

    @property
    def rule(self) -> str:
        """Which rule refuses."""
        return self.refusal.rule

    @property
    def message(self) -> str:
        """What is wrong."""
        return self.refusal.message

    @property
    def hint(self) -> str:
        """What to write instead; empty where nothing helps."""
        return self.refusal.hint


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with those of the known names that are most like it; empty if none is."""
    by_fold = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), by_fold, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(by_fold[other] for other in close)}?" if close else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """The first of some names, for a hint."""
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(all_names[:most]) + more
