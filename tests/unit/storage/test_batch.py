"""Appends become rows; those of one run are one step of its lease."""

import pytest
from msgspec.structs import replace

from stepwell_storage.records import Append, Head, Letter, NewRun, Record, Reopened
from stepwell_storage.sql.batch import Batch, OutOfTurn, place
from stepwell_storage.sql.ids import packed, packed_or_none, unpacked

RUN, OTHER = (f"01890000-0000-7000-8000-{n:012x}" for n in (1, 2))
ENDED = Head("completed", 9, ended_at=9)


def append(run: str, after: int, *, epoch: int = 4, head: Head | None = None) -> Append:
    return Append("default", run, epoch, after, (Record(after + 1, "custom", "", b""),), (), head)


def begin(run: str) -> Append:
    new = NewRun("w", "v", "user:ann", 1, "one", 10)
    record = Record(1, "run_started", "", b"")
    return Append("default", run, 1, 0, (record,), (), Head("running", 1), new)


def keyed(append: Append, run_key: str) -> Append:
    assert append.new is not None
    return replace(append, new=replace(append.new, run_key=run_key))


def test_positions_go_on_from_the_head_of_each_namespace() -> None:
    placed = place([append(RUN, 7), append(OTHER, 0)], {"default": 40})

    assert placed.positions == [41, 42]
    assert placed.heads == {"default": 42}
    assert placed.events[3::7] == [41, 42]


def test_the_appends_of_a_run_are_one_step_of_its_lease() -> None:
    batch = Batch()
    for after in (7, 8, 9):
        batch.add(append(RUN, after))

    assert batch.steps == ["default", packed(RUN), 4, 7, 10]


def test_the_step_that_ends_a_run_is_taken_apart_from_the_others() -> None:
    batch = Batch()
    batch.add(append(RUN, 7, head=ENDED))
    batch.add(append(OTHER, 3))

    assert batch.steps == ["default", packed(OTHER), 4, 3, 4]
    assert batch.ends == ["default", packed(RUN), 4, 7, 8]


def test_a_run_that_begins_in_the_batch_needs_no_step() -> None:
    batch = Batch()
    batch.add(begin(RUN))
    batch.add(append(RUN, 1, epoch=1, head=ENDED))

    assert batch.steps == batch.ends == batch.summaries == []
    assert batch.leases == ["default", packed(RUN), None, 1, None, 2]
    assert batch.runs[5:9] == ["completed", 1, 9, 9]


@pytest.mark.parametrize(
    "next_one", [append(RUN, 9), append(RUN, 7), append(RUN, 8, epoch=5), begin(RUN)]
)
def test_what_does_not_follow_is_out_of_turn(next_one: Append) -> None:
    batch = Batch()
    batch.add(append(RUN, 7))

    with pytest.raises(OutOfTurn):
        batch.add(next_one)


def test_nothing_follows_an_end() -> None:
    batch = Batch()
    batch.add(append(RUN, 7, head=ENDED))

    with pytest.raises(OutOfTurn):
        batch.add(append(RUN, 8))


def test_a_run_that_goes_on_after_its_end_takes_its_lease_by_itself() -> None:
    batch = Batch()
    reopened = replace(append(RUN, 7, head=Head("running", 3)), reopened=Reopened("two", 90))
    batch.add(reopened)
    batch.add(append(RUN, 8, epoch=5))

    assert batch.steps == batch.ends == batch.summaries == []
    [values] = batch.reopenings
    assert (values["after_epoch"], values["after"], values["last"]) == (4, 7, 9)
    assert (values["holder"], values["until"], values["now"]) == ("two", 90, "running")
    with pytest.raises(OutOfTurn):
        batch.add(append(RUN, 9, epoch=4))


def test_only_one_of_the_runs_that_begin_in_a_batch_has_a_key() -> None:
    batch = Batch()
    batch.add(keyed(begin(RUN), "a"))
    batch.add(replace(keyed(begin(RUN), "a"), namespace="other"))

    with pytest.raises(OutOfTurn):
        batch.add(keyed(begin(OTHER), "a"))


def test_labels_are_rows_of_their_own() -> None:
    batch = Batch()
    first = begin(RUN)
    assert first.new is not None
    batch.add(replace(first, new=replace(first.new, labels={"team": "shop", "env": "live"})))
    batch.add(begin(OTHER))

    run = packed(RUN)
    assert batch.labels == ["default", run, "team", "shop", 1, "default", run, "env", "live", 1]


def test_only_appends_with_letters_have_errands() -> None:
    batch = Batch()
    takes = replace(append(RUN, 7), taken=("a",))
    sends = replace(append(OTHER, 0), letters=(Letter("a", RUN, "signal", "", b"", 1),))
    for one in (takes, append(RUN, 8), sends, append(OTHER, 1)):
        batch.add(one)

    assert batch.errands == [takes, sends]


def test_a_run_id_is_sixteen_bytes_and_comes_back() -> None:
    assert len(packed(RUN)) == 16
    assert unpacked(packed(RUN)) == RUN
    assert packed_or_none(RUN) == packed(RUN)
    assert packed_or_none("run-1") is None
