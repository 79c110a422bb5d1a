"""What holds however many processes write to one PostgreSQL: one chain, and no more than a limit."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.contract.appends import OTHER, RUN, begin
from tests.contract.test_audit import deed
from tests.contract.test_budgets import ACCOUNT, call, charge, limit

from stepwell_storage.chain import hash_of
from stepwell_storage.records import Used
from stepwell_storage.sql.postgres.storage import PostgresStorage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stores(emptied_postgres_url: str) -> AsyncIterator[list[PostgresStorage]]:
    made = [PostgresStorage(emptied_postgres_url) for _ in range(3)]
    for store in made:
        await store.open()
    yield made
    for store in made:
        await store.close()


async def test_entries_of_several_processes_are_one_chain(stores: list[PostgresStorage]) -> None:
    await asyncio.gather(
        *(
            store.audit.append(namespace, deed(n))
            for n in range(40)
            for store in stores
            for namespace in ("default", "elsewhere")
        )
    )
    for namespace in ("default", "elsewhere"):
        entries = await stores[0].audit.read(namespace)
        assert [it.sequence for it in entries] == list(range(1, 121))
        assert [it.previous for it in entries[1:]] == [it.hash for it in entries[:-1]]
        assert all(it.hash == hash_of(namespace, it) for it in entries)


async def test_a_stretch_is_vouched_for_by_one_of_several(stores: list[PostgresStorage]) -> None:
    await stores[0].log.append(begin(RUN, count=3))
    noted = await asyncio.gather(
        *(store.audit.note("default", deed(), after=0, to=3) for store in stores)
    )
    assert sorted(noted, key=str) == [1, None, None]


async def test_ten_calls_in_several_processes_do_not_exceed_a_limit(
    stores: list[PostgresStorage],
) -> None:
    await stores[0].budgets.put("default", limit(70))
    answers = await asyncio.gather(
        *(
            store.budgets.reserve("default", call(f"{n}", charge(10), run=run), now=1)
            for n in range(5)
            for store, run in zip(stores, (RUN, OTHER, RUN), strict=True)
        )
    )
    # Those of the first and the last store are the same calls, which are reserved once.
    assert len(answers) == 15
    assert await stores[1].budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 70)]
