"""Values of columns, as the asker may see them."""

from collections.abc import Callable

import psycopg
import pytest
from tests.datasources import always, databases_of
from tests.interaction.nldb.conftest import CONTEXT

from stepwell.nldb.ask.samples import MOST_VALUES, sampled, wanted_of
from stepwell.nldb.link.values import Sample, Wanted
from stepwell.nldb.model import Access, Catalog, TableAccess, open_access
from stepwell.tools.process import ProcessPool

pytestmark = pytest.mark.anyio


async def samples(
    url: str,
    processes: ProcessPool,
    *wanted: Wanted,
    access: Callable[[Catalog], Access] = open_access,
) -> list[Sample]:
    """Of these columns, or of those of customers that the asker may see; the most frequent first."""
    async with databases_of(always(url), processes, access=access) as databases:
        view = await databases.view(CONTEXT, "shop")
        columns = wanted or wanted_of(view.catalog, view.access, ["customers"])
        found = await sampled(databases, CONTEXT, "shop", view.catalog, columns)
    return [Sample(one.table, one.columns, tuple(sorted(one.rows)), one.complete) for one in found]


async def test_values_come_with_their_numbers(shop_url: str, processes: ProcessPool) -> None:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute("INSERT INTO customers VALUES (3, 'Cy', 'Oslo'), (4, 'Di', NULL)")
    assert await samples(shop_url, processes, Wanted("customers", ("city",))) == [
        Sample("customers", ("city",), ((("London",), 1), (("Oslo",), 2)))
    ]
    [both] = await samples(shop_url, processes, Wanted("customers", ("name", "city")))
    assert both.rows == ((("Ada", "London"), 1), (("Bo", "Oslo"), 1), (("Cy", "Oslo"), 1))


async def test_hidden_rows_have_no_values(shop_url: str, processes: ProcessPool) -> None:
    def london(catalog: Catalog) -> Access:
        return Access(tables={"customers": TableAccess(rows="city = 'London'")})

    assert await samples(shop_url, processes, access=london) == [
        Sample("customers", ("name",), ((("Ada",), 1),)),
        Sample("customers", ("city",), ((("London",), 1),)),
    ]


async def test_a_masked_column_has_no_values(shop_url: str, processes: ProcessPool) -> None:
    def masked(catalog: Catalog) -> Access:
        return Access(tables={"customers": TableAccess(masks={"name": "redact"})})

    found = await samples(shop_url, processes, access=masked)
    assert [one.columns for one in found] == [("city",)]
    name = Wanted("customers", ("name",))
    assert await samples(shop_url, processes, name, access=masked) == []


async def test_a_column_of_very_many_values_is_not_known_completely(
    shop_url: str, processes: ProcessPool
) -> None:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO customers SELECT n, 'c' || n, 'Rome' FROM generate_series(10, %s) AS n",
            [10 + MOST_VALUES],
        )
    [name, city] = await samples(shop_url, processes)
    assert (len(name.rows), name.complete, city.complete) == (MOST_VALUES, False, True)
    assert (("Rome",), 1 + MOST_VALUES) in city.rows
