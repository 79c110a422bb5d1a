"""An append that cannot be right is refused where it is made."""

from typing import Any

import pytest
from msgspec.structs import replace

from stepwell_storage.records import (
    Append,
    Condition,
    Head,
    NewRun,
    QueueRow,
    Record,
    Reopened,
    ScheduleRow,
    Ticket,
)

RUN = "01890000-0000-7000-8000-000000000001"
RECORD = Record(1, "custom", "", b"")
NEW = NewRun("w", "v", "user:ann", 1, "one", 10)


@pytest.mark.parametrize("run", ["", "run-1", RUN + "\n", RUN.replace("-", ""), RUN[:-1] + "A"])
def test_a_run_id_is_a_canonical_uuid(run: str) -> None:
    with pytest.raises(ValueError, match="not a run id"):
        Append("default", run, 1, 0, (RECORD,))


def test_an_append_has_records() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Append("default", RUN, 1, 0, ())


def test_records_follow_each_other_without_a_gap() -> None:
    with pytest.raises(ValueError, match="record 3 stands where 2 must be"):
        Append("default", RUN, 1, 0, (RECORD, Record(3, "custom", "", b"")))


def test_a_kind_is_one_word() -> None:
    with pytest.raises(ValueError, match="'two words' is not one word"):
        Append("default", RUN, 1, 0, (Record(1, "two words", "", b"{}"),))


@pytest.mark.parametrize(
    ("epoch", "after", "head"),
    [(2, 0, Head("running", 1)), (1, 1, Head("running", 1)), (1, 0, None)],
)
def test_a_new_run_begins_at_the_beginning(epoch: int, after: int, head: Head | None) -> None:
    with pytest.raises(ValueError, match="a new run begins"):
        Append("default", RUN, epoch, after, (Record(after + 1, "", "", b""),), (), head, NEW)


@pytest.mark.parametrize(
    ("head", "new"),
    [(None, None), (Head("completed", 1, ended_at=1), None), (Head("running", 1), NEW)],
)
def test_a_run_that_is_reopened_is_not_new_and_has_not_ended(
    head: Head | None, new: NewRun | None
) -> None:
    reopened = Reopened("one", 10)
    with pytest.raises(ValueError, match="reopened"):
        Append("default", RUN, 1, 0, (RECORD,), (), head, new, reopened)


@pytest.mark.parametrize("field", ["parent", "forked_from"])
def test_a_run_comes_from_a_run(field: str) -> None:
    with pytest.raises(ValueError, match="not a run id"):
        replace(NEW, **{field: "run-1"})


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        (("status", "=", ()), "at least one value"),
        (("detail", "=", ("x",)), "nothing that a run can be listed by"),
        (("label.team", "=", ("x",)), "nothing that a run can be listed by"),
        (("created_at", ">", ("yesterday",)), "times in microseconds"),
        (("created_at", ">", (2**63,)), "times in microseconds"),
        (("status", "=", (1,)), "texts"),
        (("labels.team", "=", ("x", 1)), "texts"),
        (("parent", "<", (RUN,)), "the same or another"),
    ],
)
def test_a_condition_compares_what_can_be_compared(
    condition: tuple[Any, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Condition(*condition)


def test_a_ticket_and_a_schedule_name_a_run() -> None:
    with pytest.raises(ValueError, match="not a run id"):
        Ticket("q", "run-1", "", 1)
    with pytest.raises(ValueError, match="not a run id"):
        ScheduleRow("nightly", b"", "user:ann", 1, 1, None, last_run="run-1")


@pytest.mark.parametrize(
    ("concurrency", "rate", "per_us", "complaint"),
    [
        (None, 5, None, "so many in so long"),
        (None, None, 60, "so many in so long"),
        (-1, None, None, "fewer than none"),
        (None, -1, 60, "fewer than none"),
        (None, 5, 0, "in no time"),
    ],
)
def test_a_queue_has_limits_that_can_be_kept(
    concurrency: int | None, rate: int | None, per_us: int | None, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        QueueRow("q", concurrency, rate, per_us, 1)


def test_an_append_knows_its_last_sequence() -> None:
    records = tuple(Record(n, "custom", "", b"") for n in (4, 5, 6))
    assert Append("default", RUN, 1, 3, records).last == 6
