"""What every store promises of the audit chain."""

import asyncio

import pytest
from tests.contract.appends import OTHER, RUN, begin, go_on
from tests.contract.test_retention import ended

from stepwell_storage.chain import NOTHING, Digests, hash_of
from stepwell_storage.ports import Storage
from stepwell_storage.records import AuditHead, Deed, Unnoted

pytestmark = pytest.mark.anyio


def deed(n: int = 1, action: str = "queue.put") -> Deed:
    return Deed(n, "user:ann", action, f"queue:{n}", '{"größe":"\\n"}')


async def test_each_entry_has_the_hash_of_the_one_before_it(storage: Storage) -> None:
    assert await storage.audit.head("default") == AuditHead(0, NOTHING, 0)

    assert [await storage.audit.append("default", deed(n)) for n in (1, 2, 3)] == [1, 2, 3]

    entries = await storage.audit.read("default")
    assert [it.sequence for it in entries] == [1, 2, 3]
    assert [it.previous for it in entries] == [NOTHING, entries[0].hash, entries[1].hash]
    assert [it.hash for it in entries] == [hash_of("default", it) for it in entries]
    assert entries[1].detail == deed(2).detail
    assert await storage.audit.head("default") == AuditHead(3, entries[2].hash, 0)
    assert await storage.audit.read("default", after=1, limit=1) == [entries[1]]


async def test_each_namespace_has_its_own_chain(storage: Storage) -> None:
    await storage.audit.append("default", deed())
    await storage.audit.append("elsewhere", deed())

    [here] = await storage.audit.read("default")
    [there] = await storage.audit.read("elsewhere")
    assert (here.sequence, there.sequence) == (1, 1)
    assert here.hash != there.hash
    assert await storage.audit.namespaces() == ["default", "elsewhere"]


async def test_entries_that_come_together_follow_each_other(storage: Storage) -> None:
    sequences = await asyncio.gather(
        *(storage.audit.append("default", deed(n)) for n in range(1, 41))
    )

    entries = await storage.audit.read("default")
    assert sorted(sequences) == [it.sequence for it in entries] == list(range(1, 41))
    assert [it.previous for it in entries[1:]] == [it.hash for it in entries[:-1]]


async def test_a_stretch_of_the_log_is_vouched_for_once(storage: Storage) -> None:
    assert await storage.audit.unnoted(limit=9) == []
    await storage.log.append(begin(RUN, count=3))
    await storage.log.append(begin(OTHER, namespace="elsewhere"))
    assert await storage.audit.unnoted(limit=9) == [
        Unnoted("default", 0, 3),
        Unnoted("elsewhere", 0, 1),
    ]
    assert await storage.audit.unnoted(limit=1) == [Unnoted("default", 0, 3)]

    assert await storage.audit.note("default", deed(), after=0, to=3) == 1
    assert await storage.audit.note("default", deed(), after=0, to=3) is None
    assert await storage.audit.append("default", deed()) == 2

    assert (await storage.audit.head("default")).noted == 3
    assert await storage.audit.unnoted(limit=9) == [Unnoted("elsewhere", 0, 1)]
    await storage.log.append(go_on(RUN, after=3))
    assert await storage.audit.unnoted(limit=1) == [Unnoted("default", 3, 4)]


async def test_the_rows_of_a_stretch_have_all_that_is_stored(storage: Storage) -> None:
    await storage.log.append(begin(RUN, count=3))
    await storage.log.append(begin(OTHER, count=2))
    await storage.log.append(go_on(RUN, after=3))

    digests = Digests()
    after = 0
    while rows := await storage.audit.rows("default", after=after, to=5, limit=1):
        digests.add(rows)
        after = rows[-1].position

    assert (after, digests.events) == (5, 5)
    found = digests.result()
    assert {run: (it.first, it.last) for run, it in found.items()} == {RUN: (1, 3), OTHER: (1, 2)}
    assert found[RUN].hash != found[OTHER].hash


async def test_deleted_runs_leave_an_entry(storage: Storage) -> None:
    await ended(storage, RUN, 100)
    await ended(storage, OTHER, 101)
    await storage.retention.keep("default", 10)

    def farewell(runs: object) -> Deed:
        return Deed(500, "service:retention", "run.delete", "runs", f"{runs}")

    assert await storage.retention.purge(now=500, limit=9, farewell=farewell) == 2
    assert await storage.retention.purge(now=500, limit=9, farewell=farewell) == 0

    [entry] = await storage.audit.read("default")
    assert (entry.action, entry.detail) == ("run.delete", f"{[RUN, OTHER]}")
