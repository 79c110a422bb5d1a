"""The SQL guard: a statement is parsed, checked and written anew; the asker's text never runs."""

from stepwell.nldb.guard.read import Checked, check_read
from stepwell.nldb.guard.refusals import RULES, Refusal, Refused

__all__ = ["RULES", "Checked", "Refusal", "Refused", "check_read"]
