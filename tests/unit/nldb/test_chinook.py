"""The SQL tools on a real database, where `STEPWELL_DATA` says that there is one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepwell.nldb.datasources import OwnFiles, check_datasource
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets


@pytest.fixture
def chinook() -> Path:
    path = Path(os.environ.get("STEPWELL_DATA", "")).resolve() / "chinook.sqlite"
    if "STEPWELL_DATA" not in os.environ or not path.exists():
        pytest.skip("needs chinook.sqlite in the folder that STEPWELL_DATA names")
    return path


@pytest.mark.anyio
async def test_the_figures_of_a_real_database_are_its_own(
    chinook: Path, asker: Callable[..., Any]
) -> None:
    async with ProcessPool(size=1) as processes:
        none = Secrets({}, home=chinook.parent / "home")
        own = OwnFiles(home=chinook.parent / "home")
        await check_datasource(f"sqlite:///{chinook}", processes=processes, own=own, secrets=none)
        ask = asker(processes, chinook)
        schema = (await ask("db_schema")).value
        best = await ask(
            "db_query",
            sql="SELECT ar.Name, sum(il.UnitPrice * il.Quantity) AS sales FROM InvoiceLine il "
            "JOIN Track t USING (TrackId) JOIN Album al USING (AlbumId) "
            "JOIN Artist ar USING (ArtistId) GROUP BY ar.ArtistId ORDER BY sales DESC LIMIT 1",
        )
        tracks = await ask("db_query", sql="SELECT TrackId, Name FROM Track")
    assert sum(table["rows"] for table in schema["tables"]) == 15_607
    assert best.value["rows"][0][0] == "Iron Maiden"
    assert best.value["rows"][0][1] == pytest.approx(138.6)
    assert (tracks.value["returned"], tracks.value["truncated"]) == (1000, True)
