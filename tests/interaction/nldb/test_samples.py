"""Values of columns, as the asker may see them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.interaction.nldb.conftest import CONTEXT

from stepwell.nldb.databases import Databases
from stepwell.nldb.datasources import OwnFiles, opener
from stepwell.nldb.guard import Refused
from stepwell.nldb.model import Access, Catalog, TableAccess, open_access
from stepwell.nldb.samples import Sampled, sample
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets

pytestmark = pytest.mark.anyio


async def sampled(
    url: str, processes: ProcessPool, table: str, columns: Sequence[str], access: Any = None
) -> Sampled:
    async def url_of(namespace: str, name: str) -> str:
        return url

    async def access_of(context: CallContext, datasource: str, catalog: Catalog) -> Access:
        return access(catalog) if access else open_access(catalog)

    nowhere = Path("/nowhere")
    open_it: Callable[[str], Any] = opener(
        processes=processes, secrets=Secrets({}, home=nowhere), own=OwnFiles(home=nowhere)
    )
    async with Databases(url_of, open_it, access_of=access_of) as databases:
        return await sample(await databases.view(CONTEXT, "shop"), table, columns)


async def test_values_come_with_their_numbers(shop_url: str, processes: ProcessPool) -> None:
    assert await sampled(shop_url, processes, "customers", ["name", "city"]) == Sampled(
        "customers", ("name", "city"), ((("Ada", "London"), 1), (("Bo", "Oslo"), 1)), complete=True
    )


async def test_hidden_rows_have_no_values(shop_url: str, processes: ProcessPool) -> None:
    def london(catalog: Catalog) -> Access:
        return Access(tables={"customers": TableAccess(rows="city = 'London'")})

    found = await sampled(shop_url, processes, "customers", ["name"], london)
    assert found.rows == ((("Ada",), 1),)


async def test_a_masked_column_has_no_values(shop_url: str, processes: ProcessPool) -> None:
    def masked(catalog: Catalog) -> Access:
        return Access(tables={"customers": TableAccess(masks={"name": "redact"})})

    with pytest.raises(Refused):
        await sampled(shop_url, processes, "customers", ["name"], masked)
