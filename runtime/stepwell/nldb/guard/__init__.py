"""The SQL guard: a statement is parsed, checked and written anew; the asker's text never runs."""

from stepwell.nldb.guard.read import Checked, check_read
from stepwell.nldb.guard.refusals import RULES, Refusal, Refused
from stepwell.nldb.guard.write import ROW_CHECK, CheckedWrite, check_write

__all__ = [
    "ROW_CHECK",
    "RULES",
    "Checked",
    "CheckedWrite",
    "Refusal",
    "Refused",
    "check_read",
    "check_write",
]
