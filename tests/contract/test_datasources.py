"""What every store promises of datasources."""

import pytest

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import DatasourceRow

pytestmark = pytest.mark.anyio


async def test_datasources_come_and_go_by_name(storage: Storage) -> None:
    shop = DatasourceRow("shop", "sqlite:///shop.db", "user:ann", 1)
    bank = DatasourceRow("bank", "sqlite:///bank.db", "user:ann", 2)
    await storage.datasources.add("default", shop)
    await storage.datasources.add("default", bank)

    with pytest.raises(Exists):
        await storage.datasources.add("default", DatasourceRow("shop", "x", "user:bob", 3))
    assert await storage.datasources.list("default") == [bank, shop]
    assert await storage.datasources.get("default", "shop") == shop

    await storage.datasources.teach("default", "shop", b"terms")
    taught = await storage.datasources.get("default", "shop")
    assert taught == DatasourceRow("shop", "sqlite:///shop.db", "user:ann", 1, b"terms")
    assert await storage.datasources.list("default") == [bank, taught]
    with pytest.raises(Missing):
        await storage.datasources.teach("elsewhere", "shop", b"terms")

    await storage.datasources.remove("default", "shop")
    assert await storage.datasources.list("default") == [bank]
    with pytest.raises(Missing):
        await storage.datasources.get("default", "shop")
    with pytest.raises(Missing):
        await storage.datasources.remove("default", "shop")
