"""What every store promises as a whole."""

import pytest
from tests.contract.appends import RUN, begin, go_on

from stepwell_storage.errors import Fenced, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Blob, DatasourceRow, DefinitionRow

pytestmark = pytest.mark.anyio


async def test_namespaces_never_see_each_other(storage: Storage) -> None:
    blob = Blob("d", 1, b"x")
    await storage.log.append(begin(RUN, namespace="a", count=2, request="r", blobs=(blob,)))
    await storage.definitions.put("a", DefinitionRow("w", "v1", b"s", "user:ann", 1))
    await storage.datasources.add("a", DatasourceRow("shop", "sqlite:///a.db", "user:ann", 1))

    assert await storage.log.read("b", RUN) == []
    assert await storage.log.read_log("b", after=0) == []
    assert await storage.log.read_log("b", after=0, run=RUN) == []
    assert await storage.log.last_position("b") == 0
    assert await storage.blobs.get("b", RUN, ["d"]) == {}
    assert await storage.runs.list("b", limit=9) == []
    assert await storage.definitions.list("b") == []
    assert await storage.datasources.list("b") == []
    with pytest.raises(Missing):
        await storage.runs.get("b", RUN)
    with pytest.raises(Missing):
        await storage.definitions.get("b", "w")
    with pytest.raises(Missing):
        await storage.datasources.get("b", "shop")
    with pytest.raises(Missing):
        await storage.datasources.remove("b", "shop")
    with pytest.raises(Fenced):
        await storage.log.append(go_on(RUN, namespace="b", after=2))

    # The same names mean other things there, and its log has positions of its own.
    assert await storage.log.append(begin(RUN, namespace="b", request="r")) == 1
    assert await storage.log.append(go_on(RUN, namespace="a", after=2)) == 3
    await storage.datasources.add("b", DatasourceRow("shop", "sqlite:///b.db", "user:bob", 1))
    assert (await storage.datasources.get("a", "shop")).principal == "user:ann"


async def test_a_store_that_can_be_used_answers_a_ping(storage: Storage) -> None:
    await storage.ping()
    await storage.ping()

    assert storage.id
    assert await storage.log.read_log("", after=0) == []
