"""A clock that is moved by hand, and people who prove that it is they with a word."""

from datetime import timedelta

from stepwell.errors import Code, Denied
from stepwell.orchestrator.approvals import Proof
from stepwell.principals import Caller


class HandClock:
    """Stands still between two moves."""

    def __init__(self, now: int = 1_800_000_000_000_000) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def pass_(self, time: timedelta) -> None:
        self._now += time // timedelta(microseconds=1)


class FakeFactors:
    """Whoever is `enrolled` proves with the word `good`; keeps who has proved what."""

    def __init__(self) -> None:
        self.enrolled: set[Caller] = set()
        self.verified: list[tuple[Caller, str]] = []

    async def is_enrolled(self, caller: Caller) -> bool:
        return caller in self.enrolled

    async def is_wanted(self, caller: Caller) -> bool:
        return bool(self.enrolled)

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        if proof is None or caller not in self.enrolled:
            raise Denied("show a factor", code=Code.FACTOR_REQUIRED)
        if proof.value != "good":
            raise Denied("wrong", code=Code.FACTOR_WRONG)
        self.verified.append((caller, subject))
