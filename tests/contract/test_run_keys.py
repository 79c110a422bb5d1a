"""What every store promises of run keys: no two open runs of a namespace have the same."""

import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, outcome, reopen

from stepwell_storage.errors import Conflict, Duplicate, KeyTaken
from stepwell_storage.ports import Storage

pytestmark = pytest.mark.anyio


async def test_a_run_key_is_taken_while_its_run_has_not_ended(storage: Storage) -> None:
    await storage.log.append(begin(RUN, run_key="order-7"))

    with pytest.raises(KeyTaken) as caught:
        await storage.log.append(begin(OTHER, run_key="order-7"))
    assert caught.value.run == RUN
    assert await storage.log.read("default", OTHER) == []
    await storage.log.append(begin(OTHER, run_key="order-8"))
    await storage.log.append(begin(OTHER, run_key="order-7", namespace="elsewhere"))

    await storage.log.append(end(RUN, after=1))
    await storage.log.append(begin(THIRD, run_key="order-7"))
    assert (await storage.runs.get("default", RUN)).run_key == "order-7"


async def test_in_one_group_too_a_run_key_is_free_only_after_the_end(storage: Storage) -> None:
    queued = [
        storage.log.append(begin(RUN, run_key="order-7")),
        storage.log.append(begin(OTHER, run_key="order-7")),
        storage.log.append(end(RUN, after=1)),
        storage.log.append(begin(THIRD, run_key="order-7")),
    ]

    assert [await outcome(future) for future in queued] == [1, KeyTaken, 2, 3]


async def test_a_repeated_request_is_told_before_a_key_that_is_taken(storage: Storage) -> None:
    await storage.log.append(begin(RUN, request="r-1", run_key="order-7"))

    with pytest.raises(Duplicate):
        await storage.log.append(begin(OTHER, request="r-1", run_key="order-7"))
    with pytest.raises(Conflict):
        await storage.log.append(begin(RUN, count=2, run_key="order-7"))


async def test_a_run_is_reopened_only_while_its_key_is_free(storage: Storage) -> None:
    await storage.log.append(begin(RUN, run_key="order-7"))
    await storage.log.append(end(RUN, after=1))
    await storage.log.append(begin(OTHER, run_key="order-7"))

    with pytest.raises(KeyTaken) as caught:
        await storage.log.append(reopen(RUN, after=2))
    assert caught.value.run == OTHER
    await storage.log.append(end(OTHER, after=1))
    await storage.log.append(reopen(RUN, after=2))
    with pytest.raises(KeyTaken):
        await storage.log.append(begin(THIRD, run_key="order-7"))
