"""What every store promises of the list of what runs ask of people."""

import pytest
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, begin, go_on, outcome

from stepwell_storage.errors import Fenced, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import ApprovalRow, Head

pytestmark = pytest.mark.anyio


def row(id: str = "a1", *, run: str = RUN, at: int = 100, status: str = "waiting") -> ApprovalRow:
    return ApprovalRow(
        id=id,
        run=run,
        step="pay",
        call="1.0",
        about="call",
        status=status,
        principal="agent:local",
        subject=id * 3,
        sequence=4,
        requested_at=at,
        expires_at=at + 50,
        detail=b"\x00detail",
    )


async def listed(storage: Storage, **given: object) -> list[str]:
    values = {"limit": 9, **given}
    return [it.id for it in await storage.approvals.list("default", **values)]  # type: ignore[arg-type]


async def test_what_is_asked_is_written_with_the_event_that_asks(storage: Storage) -> None:
    await storage.log.append(replace(begin(), approvals=(row(),)))
    assert await storage.approvals.get("default", "a1") == row()
    assert await storage.approvals.list("default", limit=9) == [row()]
    assert await storage.approvals.list("elsewhere", limit=9) == []
    for namespace, id in (("elsewhere", "a1"), ("default", "a2")):
        with pytest.raises(Missing):
            await storage.approvals.get(namespace, id)


async def test_an_answer_takes_the_place_of_the_question(storage: Storage) -> None:
    await storage.log.append(replace(begin(), approvals=(row("a1"), row("a2"))))
    answered = replace(row("a1", status="approved"), decided_at=120, decided_by="user:bob")
    await storage.log.append(replace(go_on(after=1), approvals=(answered,)))
    assert await storage.approvals.get("default", "a1") == answered
    assert await listed(storage, status="waiting") == ["a2"]
    assert await listed(storage, status="approved") == ["a1"]
    assert await listed(storage) == ["a2", "a1"]


async def test_what_is_refused_asks_nobody(storage: Storage) -> None:
    await storage.log.append(begin())
    late = replace(go_on(after=1, epoch=7), approvals=(row(),), withdraws=5)
    assert await outcome(storage.log.append(late)) is Fenced
    assert await listed(storage) == []


async def test_an_append_that_is_repeated_asks_once(storage: Storage) -> None:
    await storage.log.append(begin())
    asking = replace(go_on(after=1), approvals=(row(),))
    assert await storage.log.append(asking) == await storage.log.append(asking)
    assert await listed(storage) == ["a1"]


async def test_pages_go_from_the_newest_to_the_oldest(storage: Storage) -> None:
    rows = (row("b", at=100), row("a", at=100), row("c", at=300), row("d", at=200))
    await storage.log.append(replace(begin(), approvals=rows))
    assert await listed(storage, limit=2) == ["c", "d"]
    assert await listed(storage, limit=2, before=(200, "d")) == ["b", "a"]
    assert await listed(storage, before=(100, "b"), status="waiting") == ["a"]
    assert await listed(storage, before=(100, "a")) == []


async def test_what_still_waits_of_a_run_is_withdrawn_at_once(storage: Storage) -> None:
    done = row("a2", status="denied")
    await storage.log.append(replace(begin(), approvals=(row("a1"), done)))
    await storage.log.append(replace(begin(OTHER), approvals=(row("o1", run=OTHER),)))
    end = go_on(after=1, head=Head("failed", 200, ended_at=200))
    await storage.log.append(replace(end, withdraws=200))
    withdrawn = replace(row("a1", status="withdrawn"), decided_at=200)
    assert await storage.approvals.get("default", "a1") == withdrawn
    assert await storage.approvals.get("default", "a2") == done
    assert await listed(storage, status="waiting") == ["o1"]


async def test_they_go_with_their_run(storage: Storage) -> None:
    await storage.retention.keep("default", 1000)
    await storage.log.append(replace(begin(), approvals=(row("a1"),)))
    await storage.log.append(replace(begin(OTHER), approvals=(row("o1", run=OTHER),)))
    await storage.log.append(go_on(after=1, head=Head("completed", 200, ended_at=200)))
    assert await storage.retention.purge(now=5000, limit=9) == 1
    assert await listed(storage) == ["o1"]


def test_an_approval_is_of_a_run() -> None:
    with pytest.raises(ValueError, match="is not a run id"):
        row(run="pay")


async def test_what_waits_is_found_in_every_namespace(storage: Storage) -> None:
    mine, others = row("a1", at=100), row("b1", run=OTHER, at=90)
    answered = row("a2", at=95, status="approved")
    await storage.log.append(replace(begin(), approvals=(mine, answered)))
    await storage.log.append(replace(begin(run=OTHER, namespace="team"), approvals=(others,)))

    both = [("team", others), ("default", mine)]
    assert await storage.approvals.waiting(since=0, limit=9) == both
    assert await storage.approvals.waiting(since=91, limit=9) == both[1:]
    assert await storage.approvals.waiting(since=0, limit=1) == both[:1]
