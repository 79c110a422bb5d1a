"""What every store promises of ended runs: how long they are kept, and that they go as a whole."""

import pytest
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, go_on, letter, records, reopen

from stepwell_storage.errors import Fenced, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import (
    Blob,
    Condition,
    Head,
    KeyRow,
    QueueRow,
    Ticket,
)

pytestmark = pytest.mark.anyio


async def ended(
    storage: Storage,
    run: str,
    at: int,
    *,
    namespace: str = "default",
    parent: str | None = None,
    forked_from: str | None = None,
) -> None:
    """A run that ended at this time."""
    head = Head("completed", at, ended_at=at)
    await storage.log.append(
        begin(run, namespace=namespace, head=head, parent=parent, forked_from=forked_from)
    )


async def left(storage: Storage, namespace: str = "default") -> list[str]:
    return [row.run for row in await storage.runs.list(namespace, limit=100)]


async def test_all_runs_are_kept_until_somebody_says_how_long(storage: Storage) -> None:
    await ended(storage, RUN, 100)

    assert await storage.retention.kept("default") is None
    assert await storage.retention.purge(now=2**60, limit=9) == 0
    await storage.retention.keep("default", 500)
    await storage.retention.keep("elsewhere", 700)
    assert await storage.retention.kept("default") == 500
    await storage.retention.keep("default", 600)
    assert await storage.retention.kept("default") == 600
    await storage.retention.keep("default", None)
    assert await storage.retention.kept("default") is None
    assert await storage.retention.kept("elsewhere") == 700
    assert await storage.retention.purge(now=2**60, limit=9) == 0
    assert await left(storage) == [RUN]


async def test_a_run_goes_when_its_time_is_over(storage: Storage) -> None:
    await storage.retention.keep("default", 500)
    await ended(storage, RUN, 100)
    await ended(storage, OTHER, 200)
    await storage.log.append(begin(THIRD, at=1))

    assert await storage.retention.purge(now=599, limit=9) == 0
    assert await storage.retention.purge(now=600, limit=9) == 1
    assert await left(storage) == [OTHER, THIRD]
    assert await storage.retention.purge(now=10_000, limit=9) == 1
    assert await storage.retention.purge(now=10_000, limit=9) == 0
    assert await left(storage) == [THIRD]


async def test_a_time_of_nothing_keeps_no_ended_run(storage: Storage) -> None:
    await storage.retention.keep("default", 0)
    await ended(storage, RUN, 100)

    assert await storage.retention.purge(now=100, limit=9) == 1


async def test_the_oldest_go_first_and_no_more_than_asked_for(storage: Storage) -> None:
    await storage.retention.keep("default", 100)
    await storage.retention.keep("elsewhere", 0)
    await ended(storage, RUN, 300)
    await ended(storage, OTHER, 100)
    await ended(storage, THIRD, 200, namespace="elsewhere")
    await ended(storage, RUN, 50, namespace="kept")

    assert await storage.retention.purge(now=1000, limit=2) == 2
    assert (await left(storage), await left(storage, "elsewhere")) == ([RUN], [])
    assert await storage.retention.purge(now=1000, limit=2) == 1
    assert await left(storage, "kept") == [RUN]


async def test_all_of_a_run_goes(storage: Storage) -> None:
    blob, key = Blob("d", 1, b"x"), KeyRow("k", f"run:{RUN}", "ring", b"wrapped", 1)
    for run, request in ((RUN, "r-1"), (OTHER, "r-2")):
        await storage.log.append(
            begin(run, request=request, run_key=request, blobs=(blob,), labels={"a": "b"})
        )
    await storage.keys.add("default", key)
    await storage.keys.add("default", replace(key, id="l", subject=f"run:{OTHER}"))
    await storage.queues.put("default", QueueRow("q", 1, None, None, 1))
    tickets = [Ticket("q", run, "s", at) for at, run in enumerate((RUN, OTHER))]
    await storage.queues.enter("default", tickets, now=1)
    await storage.inbox.send("default", letter("a", RUN))
    await storage.log.append(end(RUN, after=1))
    await storage.retention.keep("default", 0)

    assert await storage.retention.purge(now=1000, limit=9) == 1
    with pytest.raises(Missing):
        await storage.runs.get("default", RUN)
    assert await storage.log.read("default", RUN) == []
    assert await storage.blobs.get("default", RUN, ["d"]) == {}
    assert list(await storage.keys.get("default", ["k", "l"])) == ["l"]
    assert await storage.inbox.is_waiting("default", RUN, "a") is False
    assert (await storage.queues.get("default", "q")).running == 0
    labelled = [Condition("labels.a", "=", ("b",))]
    assert [it.run for it in await storage.runs.list("default", limit=9, where=labelled)] == [OTHER]
    with pytest.raises(Fenced):
        await storage.log.append(reopen(RUN, after=2))

    # What it was is not remembered either: a run of this id begins anew, by the same request.
    again = await storage.log.append(begin(RUN, request="r-1", run_key="r-1"))
    assert again == await storage.log.last_position("default")
    assert await storage.log.read("default", RUN) == list(records(1))
    assert await storage.blobs.get("default", OTHER, ["d"]) == {"d": blob}


async def test_positions_go_on_after_a_run_that_is_gone(storage: Storage) -> None:
    await storage.retention.keep("default", 0)
    await storage.log.append(begin(OTHER))
    await ended(storage, RUN, 100)
    await storage.log.append(go_on(OTHER, after=1))
    await storage.retention.purge(now=1000, limit=9)

    assert await storage.log.last_position("default") == 3
    assert [it.position for it in await storage.log.read_log("default", after=0)] == [1, 3]
    assert [it.position for it in await storage.log.read_log("default", after=1, limit=1)] == [3]
    await ended(storage, THIRD, 100)
    await storage.retention.purge(now=1000, limit=9)
    assert await storage.log.append(go_on(OTHER, after=2)) == 5


async def test_a_run_is_kept_as_long_as_its_parent(storage: Storage) -> None:
    await storage.retention.keep("default", 100)
    await storage.log.append(begin(RUN))
    await ended(storage, OTHER, 200, parent=RUN)

    assert await storage.retention.purge(now=5000, limit=9) == 0
    await storage.log.append(end(RUN, after=1, at=6000))
    assert await storage.retention.purge(now=6099, limit=9) == 0
    assert await storage.retention.purge(now=6100, limit=9) == 2


async def test_a_run_is_kept_as_long_as_its_children(storage: Storage) -> None:
    await storage.retention.keep("default", 100)
    await ended(storage, RUN, 200)
    await storage.log.append(begin(OTHER, parent=RUN))
    await ended(storage, THIRD, 900, parent=RUN)

    assert await storage.retention.purge(now=1500, limit=9) == 1  # the third: its time is over
    assert await left(storage) == [OTHER, RUN]
    await storage.log.append(end(OTHER, after=1, at=2000))
    assert await storage.retention.purge(now=2100, limit=9) == 2


async def test_a_run_is_kept_as_long_as_what_was_forked_from_it(storage: Storage) -> None:
    await storage.retention.keep("default", 100)
    await ended(storage, RUN, 200)
    await storage.log.append(begin(OTHER, forked_from=RUN))
    await storage.log.append(end(OTHER, after=1, at=900))
    await ended(storage, THIRD, 200, namespace="elsewhere", forked_from=RUN)

    assert await storage.retention.purge(now=999, limit=9) == 0
    assert await storage.retention.purge(now=1000, limit=1) == 1
    assert await left(storage) == [OTHER]
    assert await storage.retention.purge(now=1000, limit=9) == 1


async def test_a_fork_does_not_wait_for_what_it_was_forked_from(storage: Storage) -> None:
    await storage.retention.keep("default", 100)
    await storage.log.append(begin(RUN))
    await ended(storage, OTHER, 200, forked_from=RUN)

    assert await storage.retention.purge(now=1000, limit=9) == 1
    assert await left(storage) == [RUN]


async def test_a_run_that_goes_on_after_its_end_is_kept(storage: Storage) -> None:
    await storage.retention.keep("default", 100)
    await ended(storage, RUN, 200)
    await storage.log.append(reopen(RUN, after=1))

    assert await storage.retention.purge(now=5000, limit=9) == 0


async def test_hundreds_of_runs_go_at_once(storage: Storage) -> None:
    await storage.retention.keep("default", 0)
    for n in range(250):
        await ended(storage, f"01890000-0000-7000-8000-{n:012x}", 100 + n)

    assert await storage.retention.purge(now=1000, limit=230) == 230
    assert len(await left(storage)) == 20
