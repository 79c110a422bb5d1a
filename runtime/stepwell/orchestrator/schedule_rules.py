"""What a schedule is, and which fire comes next. Arithmetic, the same in every process.

The store keeps one time for each schedule: that of the next fire. Whoever sees that it has come
starts the run of this very fire, under a request id that is made from it, and then moves the
schedule on from this time and no other. So it does not matter how many do so at once.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import InvalidRequest
from stepwell.orchestrator.fires import Fires
from stepwell_storage.records import ScheduleRow

Overlap: TypeAlias = Literal["skip", "queue", "allow", "cancel_other"]
"""What becomes of a fire while the run of the fire before goes on."""

SHORTEST_CATCH_UP: Final = timedelta(seconds=10)
"""A process may be this late although nothing is wrong."""
LONGEST_CATCH_UP: Final = timedelta(days=366)
LONGEST_JITTER: Final = timedelta(days=1)
OWN_LABELS: Final = ("schedule", "fire")

_MICROSECOND: Final = timedelta(microseconds=1)
_MOST_AT_A_TIME: Final = 1000
"""Missed fires that are passed over in one move."""


class ScheduleSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is run when.

    A fire that is more than `catch_up` late, as no process ran, starts no run. Each is moved to a
    later time by at most `jitter`. Runs that may not overlap share a run key: `run_key`, or one of
    the schedule's own. `own_note` is the note for which that of a pause stands in.
    """

    cron: str
    zone: str = "UTC"
    workflow: str
    version: str = ""
    input: Json = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = {}
    queue: str = ""
    run_key: str = ""
    overlap: Overlap = "skip"
    catch_up: timedelta = timedelta(minutes=1)
    jitter: timedelta = timedelta(0)
    note: str = ""
    own_note: str | None = None

    @property
    def timing(self) -> tuple[Any, ...]:
        """All that says when it fires."""
        return self.cron, self.zone, self.jitter


def check_spec(spec: ScheduleSpec) -> None:
    """Whether a schedule can be like this, whatever else there is.

    Raises:
        InvalidRequest: it cannot.
    """
    if not SHORTEST_CATCH_UP <= spec.catch_up <= LONGEST_CATCH_UP:
        raise _wrong("catch_up", f"is {spec.catch_up}; it is a time from 10s to 366d")
    if not timedelta(0) <= spec.jitter <= LONGEST_JITTER:
        raise _wrong("jitter", f"is {spec.jitter}; it is a time of at most 1d")
    if spec.overlap == "allow" and spec.run_key:
        raise _wrong("run_key", "is for one run at a time, and overlap allows several")
    taken = [name for name in OWN_LABELS if name in spec.labels]
    if taken:
        raise _wrong("labels", f"has {taken[0]!r}, which every run of a schedule is given")


def read_spec(row: ScheduleRow) -> ScheduleSpec:
    """The spec that is stored with a schedule.

    Raises:
        msgspec.DecodeError: a newer version wrote it.
    """
    return msgspec.json.decode(row.spec, type=ScheduleSpec)


def write_spec(spec: ScheduleSpec) -> bytes:
    """A spec as it is stored."""
    return msgspec.json.encode(spec)


def fires_of(namespace: str, name: str, spec: ScheduleSpec) -> Fires:
    """When a schedule fires.

    Raises:
        InvalidRequest: never, or its zone is not there.
    """
    jitter = spec.jitter // _MICROSECOND
    return Fires(spec.cron, spec.zone, jitter=jitter, seed=f"{namespace}/{name}")


def is_waiting(row: ScheduleRow) -> bool:
    """Whether the fire has come and waits for the run before: it is the next and the last one."""
    return row.next_at is not None and row.next_at == row.last_at


def wanted_fire(row: ScheduleRow, spec: ScheduleSpec, fires: Fires, now: int) -> int | None:
    """The fire that is to be dealt with instead of `next_at`, which has come; mostly itself.

    What was missed for too long is passed over. Of several that would cancel each other only the
    last one is wanted.
    """
    at = row.next_at
    assert at is not None, "a fire has come"
    if is_waiting(row):
        return at
    oldest = now - spec.catch_up // _MICROSECOND
    if at < oldest:
        return fires.after(oldest - 1)
    if spec.overlap == "cancel_other":
        return fires.last(at, now, most=_MOST_AT_A_TIME)
    return at


def after_start(row: ScheduleRow, fires: Fires, now: int) -> int | None:
    """The fire after one that has started its run; those that came while it waited start none."""
    assert row.next_at is not None, "a fire has come"
    return fires.after(now if is_waiting(row) else row.next_at)


def run_key_of(name: str, spec: ScheduleSpec) -> str:
    """The key that a schedule's runs share, so that no two go on at once; "" where they may."""
    return "" if spec.overlap == "allow" else spec.run_key or f"schedule/{name}"


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {problem}", detail={field: problem})
