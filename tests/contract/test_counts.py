"""What every store promises to those who watch it."""

import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, end

from stepwell_storage.ports import Storage
from stepwell_storage.records import Census, Letter, QueueLoad, QueueRow, Ticket

pytestmark = pytest.mark.anyio


async def test_an_empty_store_counts_nothing(storage: Storage) -> None:
    assert await storage.counts.take(["running"]) == Census({"running": 0}, 0, ())
    assert await storage.counts.take([]) == Census({}, 0, ())


async def test_runs_letters_and_queues_are_counted_in_all_namespaces(storage: Storage) -> None:
    for run, namespace in ((RUN, "default"), (OTHER, "elsewhere"), (THIRD, "default")):
        await storage.log.append(begin(run, namespace=namespace))
    await storage.log.append(end(THIRD, after=1))
    await storage.inbox.send("default", Letter("l", RUN, "signal", "user:x", b"{}", 100))
    queue = QueueRow("q", 1, None, None, 10)
    await storage.queues.put("elsewhere", queue)
    tickets = [Ticket("q", OTHER, "a", 100), Ticket("q", OTHER, "b", 101)]
    await storage.queues.enter("elsewhere", tickets, now=200)

    census = await storage.counts.take(["running", "paused"])
    assert census.runs == {"running": 2, "paused": 0}
    assert census.letters == 1
    assert census.queues == (("elsewhere", QueueLoad(queue, 1, 1)),)
