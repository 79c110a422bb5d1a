"""What was found when a datasource was looked at: what it is, and what its login may do too much."""

from typing import Literal, TypeAlias

from msgspec import Struct

from stepwell.nldb.model import Dialect

Level: TypeAlias = Literal["refuse", "warn", "note"]
"""`refuse`: it is not added unless its owner says so. `warn`: it should be changed."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing about a datasource, and what to do about it."""

    level: Level
    rule: str
    what: str
    advice: str = ""


class Inspection(Struct, frozen=True, kw_only=True):
    """A datasource as it is now. `hardening` is SQL for its owner; empty where there is none."""

    dialect: Dialect
    version: str
    login: str
    tables: tuple[str, ...]
    fingerprint: str
    findings: tuple[Finding, ...] = ()
    hardening: str = ""

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """Those findings that keep it from being added."""
        return tuple(finding for finding in self.findings if finding.level == "refuse")
