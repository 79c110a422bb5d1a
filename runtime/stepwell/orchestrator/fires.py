"""When a schedule fires. Arithmetic: every process that asks gets the same times.

A cron expression names local times of a zone. What becomes of them when the clocks change is what
Debian's cron does, as `cronsim` has it: a time that is left out is made up for right after the gap, a
time that comes twice fires the first time only; but `*` and `*/2` in the field of minutes or hours
mean a rhythm, which goes on by real time.

Jitter moves each fire to a later time that depends on nothing but the schedule's name and the fire
itself, and never past the fire that follows.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from stepwell.errors import InvalidRequest

MAX_CRON: Final = 200
"""Characters of an expression."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MILLISECOND: Final = 1000
_SHORTEST_LOOK: Final = 1_000_000
"""Microseconds; no two fires of an expression are closer."""


class Fires:
    """The times at which a schedule fires, in UTC microseconds."""

    def __init__(self, cron: str, zone: str, *, jitter: int = 0, seed: str = "") -> None:
        """`jitter` is the most that a fire is moved, `seed` what makes it another than elsewhere.

        Raises:
            InvalidRequest: there is no such zone, or the expression is none, or never fires.
        """
        self._cron = cron
        self._zone = _zone(zone)
        self._jitter = jitter
        self._seed = seed
        _check_cron(cron, self._zone)

    def after(self, at: int) -> int | None:
        """The first fire later than `at`; None when there is none in sight."""
        return next(self.following(at), None)

    def following(self, at: int) -> Iterator[int]:
        """Every fire later than `at`, in order."""
        planned = self._planned(self._last_planned(at) if self._jitter else at)
        this = next(planned, None)
        while this is not None:
            that = next(planned, None)
            if (fire := self._moved(this, that)) > at:
                yield fire
            this = that

    def last(self, since: int, until: int, *, most: int) -> int:
        """The last fire up to `until`, given that one is at `since`; it looks at `most` of them."""
        found = since
        for fire in islice(self.following(since), most):
            if fire > until:
                break
            found = fire
        return found

    def _planned(self, at: int) -> Iterator[int]:
        """The times of the expression later than `at`."""
        for found in CronSim(self._cron, (_EPOCH + at * _MICROSECOND).astimezone(self._zone)):
            planned = (found - _EPOCH) // _MICROSECOND
            # Asked in an hour that comes twice, it may answer with a time of the first one.
            if planned > at:
                at = planned
                yield planned

    def _last_planned(self, at: int) -> int:
        """Just before the last planned time that may have been moved past `at`; else `at` itself.

        Looked for ever further back, so that neither rare nor frequent fires take long.
        """
        back = _SHORTEST_LOOK
        while True:
            back = min(back, self._jitter)
            found = None
            for planned in self._planned(at - back - 1):
                if planned > at:
                    break
                found = planned
            if found is not None:
                return found - 1
            if back == self._jitter:
                return at
            back *= 4

    def _moved(self, planned: int, following: int | None) -> int:
        room = self._jitter if following is None else min(self._jitter, following - planned)
        if room < _MILLISECOND:
            return planned
        digest = hashlib.sha256(f"{self._seed}/{planned}".encode()).digest()
        return planned + int.from_bytes(digest[:8]) % (room // _MILLISECOND) * _MILLISECOND


def _check_cron(cron: str, zone: ZoneInfo) -> None:
    if len(cron) > MAX_CRON:
        raise _no_cron(f"{cron[:40]}...", f"it has more than {MAX_CRON} characters")
    try:
        # From a fixed day on: what fires at all does so in some year of a whole calendar cycle.
        first = next(CronSim(cron, datetime(2000, 1, 1, tzinfo=zone)), None)
    except CronSimError as error:
        raise _no_cron(cron, str(error)[:1].lower() + str(error)[1:]) from None
    if first is None:
        raise _no_cron(cron, "no day is like this")


def _no_cron(cron: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{cron!r} is no cron expression that ever fires: {why}. It has five fields: minute, hour, "
        "day of the month, month, day of the week, like '30 9 * * 1-5'; six begin with the second",
        detail={"cron": why},
    )


def _zone(name: str) -> ZoneInfo:
    if name in _zones():
        return ZoneInfo(name)
    near = _nearest_zone(name.lower())
    hint = f"did you mean {near}?" if near else "take one like Europe/Berlin, or UTC"
    raise InvalidRequest(f"there is no time zone {name[:64]!r}; {hint}", detail={"zone": hint})


def _nearest_zone(name: str) -> str | None:
    """The zone with nearly this name, or else with nearly this last part."""
    whole = {zone.lower(): zone for zone in sorted(_zones())}
    cities = {zone.rpartition("/")[2]: whole[zone] for zone in whole}
    for known in (whole, cities):
        if near := get_close_matches(name[:64], known, n=1):
            return known[near[0]]
    return None


@cache
def _zones() -> frozenset[str]:
    """The names of all zones; files beside them, which only look like zones, are left out."""
    return frozenset(available_timezones())
