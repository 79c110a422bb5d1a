"""What a load did, put together from the log and the ledger, and held against an undisturbed one."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.e2e.ledger import Line
from tests.e2e.stored_log import Entry

from stepwell.client import Event, Run, RunStatus
from stepwell.engine.events import (
    RunStarted,
    StepCompleted,
    StepFailed,
    StepSkipped,
    ToolCall,
    ToolCallStarted,
)
from stepwell.engine.values import Json

GOES_ON = re.compile(r"run (\S+) goes on after event (\d+)")
"""What a daemon writes when it takes a run over."""

OF_CALLS = frozenset({"llm_call", "tool_call", "approval_requested"})
"""Kinds that a call leads to. What else comes first after a kill was waited for anyway."""

ENDS = frozenset({"run_completed", "run_failed", "run_cancelled"})

Place = tuple[str, str]
"""A run by its way down from the load (`7`, `7/many[2]`), and a step of it or a key of a call."""


FOR_EVER = 1 << 62


class Blow(NamedTuple):
    """What happened to one life of a daemon. Times are in UTC microseconds.

    `up` is when it was over: a killed daemon never comes back. Up to `until` what it had in flight may
    still have an effect, or be taken from it. `robs` says that others are to take its runs over.
    """

    daemon: str
    life: int
    at: int
    up: int = FOR_EVER
    until: int = FOR_EVER
    robs: bool = True


class History:
    """The events of a load, whose runs are numbered, and the lines that its calls left."""

    def __init__(self, runs: Sequence[Run], seen: Sequence[Event], lines: Sequence[Line]) -> None:
        """`seen` is every event, in the order of the log."""
        self.runs = runs
        self.seen = seen
        self.by_run: dict[str, list[Event]] = defaultdict(list)
        for event in seen:
            self.by_run[event.run].append(event)
        self.by_key: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            self.by_key[line.key].append(line)
        self.places = _places(runs, seen)
        self.recorded = dict(_records(seen))

    @property
    def outputs(self) -> list[Json]:
        """What the runs gave, in the order of their numbers."""
        return [run.output for run in self.runs]

    @property
    def steps(self) -> set[Place]:
        """Every step that has ended."""
        ends = (StepCompleted, StepFailed, StepSkipped)
        return {
            (self.places[event.run], event.fact.step)
            for event in self.seen
            if isinstance(event.fact, ends)
        }

    @property
    def calls(self) -> set[Place]:
        """Every call that was recorded as done."""
        return {
            (self.places[run], inside)
            for run, _, inside in (key.partition("/") for key in self.recorded)
        }

    @property
    def unended(self) -> list[str]:
        """Runs of the load, and runs that they started, without an end in the log."""
        begun = set(self.by_run) | {run.id for run in self.runs}
        return sorted(begun - {event.run for event in self.seen if event.kind in ENDS})

    @property
    def repeated(self) -> int:
        """How often calls were made again that had had their effect."""
        return self.repeats(self.by_key)

    @property
    def unrepeatable(self) -> set[str]:
        """The keys of calls that may not be repeated."""
        return {
            f"{event.run}/{event.fact.key}"
            for event in self.seen
            if isinstance(event.fact, ToolCallStarted)
        }

    def repeats(self, keys: Iterable[str]) -> int:
        """How often calls with these keys were made beyond the first time."""
        return sum(len(self.by_key[key]) - 1 for key in keys)

    def in_flight(self, blows: Sequence[Blow]) -> int:
        """How many calls had their effect, or had it to come, while a blow lasted."""
        return sum(self._is_hit(key, blow, blow.up) for key in self.by_key for blow in blows)

    def hits(self, key: str, blows: Sequence[Blow]) -> int:
        """How many blows may have cost a call its record."""
        return sum(self._is_hit(key, blow, blow.until) for blow in blows)

    def _is_hit(self, key: str, blow: Blow, until: int) -> bool:
        return self.recorded.get(key, blow.at) >= blow.at and any(
            (line.daemon, line.life) == (blow.daemon, blow.life) and line.at <= until
            for line in self.by_key[key]
        )

    def taken_over(self, log: str, blows: Sequence[Blow]) -> list[float]:
        """Seconds from a blow to the first event of each run that somebody took over after it."""
        times = sorted(blow.at for blow in blows if blow.robs)
        found = []
        for run, after in set(GOES_ON.findall(log)):
            later = self.by_run.get(run, [])[int(after) :]
            if later and later[0].kind in OF_CALLS:
                at = instant(later[0])
                if place := bisect_right(times, at):
                    found.append((at - times[place - 1]) / 1e6)
        return found


def instant(event: Event) -> int:
    """When it was decided, in UTC microseconds."""
    return round(event.at.timestamp() * 1_000_000)


# --- what must hold -------------------------------------------------------------------------


def assert_log_is_whole(entries: Sequence[Entry], seen: Sequence[Event]) -> None:
    """No number is missing, and a watcher saw each event once, in the order of the log."""
    assert all(before.position < after.position for before, after in pairwise(entries))
    assert [(entry.run, entry.sequence, entry.kind) for entry in entries] == [
        (event.run.replace("-", ""), event.sequence, event.kind) for event in seen
    ]
    numbers = defaultdict(list)
    for event in seen:
        numbers[event.run].append(event.sequence)
    for sequence in numbers.values():
        assert sequence == list(range(1, len(sequence) + 1))


def assert_only_calls_in_flight_were_repeated(history: History, blows: Sequence[Blow]) -> None:
    """Of each key there is one line, and at most one more for each blow that hit the call.

    None comes after its record, but from a life that was hit: an orphan comes to its end.
    """
    for key, lines in history.by_key.items():
        assert key in history.recorded, f"{key} was called, and the log does not know"
        hits = history.hits(key, blows)
        assert len(lines) <= 1 + hits, f"{key}: {hits} blows, and {lines}"
        late = [line for line in lines if line.at > history.recorded[key]]
        assert all(_is_orphan(line, blows) for line in late), f"{key} was called again: {late}"


def assert_all_completed(history: History) -> None:
    """Every run of the load ended well."""
    assert {run.status for run in history.runs} == {RunStatus.COMPLETED}


def _is_orphan(line: Line, blows: Iterable[Blow]) -> bool:
    return any(
        (line.daemon, line.life) == (blow.daemon, blow.life) and blow.at <= line.at <= blow.until
        for blow in blows
    )


def _places(runs: Sequence[Run], seen: Sequence[Event]) -> Mapping[str, str]:
    """Every run by its way down from the load; a child begins after its parent."""
    places = {run.id: str(number) for number, run in enumerate(runs)}
    for event in seen:
        if isinstance(event.fact, RunStarted) and (parent := event.fact.parent) is not None:
            places[event.run] = f"{places[parent.run]}/{parent.step}"
    return places


def _records(seen: Sequence[Event]) -> Iterator[tuple[str, int]]:
    """Of every call that succeeded: its key, and when that was recorded."""
    for event in seen:
        fact = event.fact
        if isinstance(fact, ToolCall) and fact.failure is None:
            yield f"{event.run}/{fact.key}", instant(event)
