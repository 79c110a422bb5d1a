"""Plans as SQL, for both dialects."""

import pytest

from stepwell.nldb.model import Catalog, Column, Dialect, ForeignKey, Table, catalog
from stepwell.nldb.plan.explain import explain
from stepwell.nldb.plan.model import (
    Aggregate,
    AnyOf,
    Arithmetic,
    Assignment,
    Col,
    Delete,
    Exists,
    Filter,
    Insert,
    InvalidPlan,
    Join,
    Order,
    Output,
    Part,
    Plan,
    Select,
    Update,
    Value,
)
from stepwell.nldb.plan.sql import compile_plan

TO_ORDERS = Join("orders", "orders", "customers", (("id", "customer_id"),))
TO_CUSTOMERS = Join("customers", "customers", "orders", (("customer_id", "id"),))
TOTAL = Col("orders", "total")


def shop(dialect: Dialect = "sqlite") -> Catalog:
    customers = Table(
        name="customers",
        schema="main",
        columns=(Column(name="id", kind="integer"), Column(name="name", kind="text")),
        primary_key=("id",),
    )
    orders = Table(
        name="orders",
        schema="main",
        columns=(
            Column(name="id", kind="integer"),
            Column(name="customer_id", kind="integer"),
            Column(name="total", kind="decimal"),
            Column(name="placed", kind="timestamp"),
        ),
        primary_key=("id",),
        foreign_keys=(ForeignKey(columns=("customer_id",), table="customers", referred=("id",)),),
    )
    return catalog(
        dialect=dialect,
        version="1",
        default_schema="main",
        tables={"customers": customers, "orders": orders},
    )


def by_customer() -> Select:
    return Select(
        table="orders",
        name="orders",
        joins=(TO_CUSTOMERS,),
        outputs=(
            Output(Col("customers", "name"), "name"),
            Output(Aggregate("sum", TOTAL), "spent"),
        ),
        where=(Filter(Col("orders", "placed"), ">=", ("2025-01-01",)),),
        group=(Col("customers", "id"), Col("customers", "name")),
        having=(Filter(Aggregate("count"), ">", (2,)),),
        order=(Order(Aggregate("sum", TOTAL), descending=True),),
        limit=5,
    )


def test_a_grouped_question_for_sqlite() -> None:
    compiled = compile_plan(by_customer(), shop())
    assert compiled.sql == (
        'SELECT "customers"."name" AS "name", SUM("orders"."total") AS "spent" FROM "orders" '
        'JOIN "customers" ON "orders"."customer_id" = "customers"."id" '
        'WHERE "orders"."placed" >= :p1 GROUP BY "customers"."id", "customers"."name" '
        'HAVING COUNT(*) > :p2 ORDER BY SUM("orders"."total") DESC LIMIT 5'
    )
    assert compiled.parameters == {"p1": "2025-01-01", "p2": 2}


def test_a_grouped_question_for_postgres_casts_its_parameters() -> None:
    compiled = compile_plan(by_customer(), shop("postgres"))
    assert 'WHERE "orders"."placed" >= CAST(:p1 AS TIMESTAMP)' in compiled.sql
    assert "HAVING COUNT(*) > CAST(:p2 AS DECIMAL)" in compiled.sql
    assert compiled.sql.endswith('ORDER BY SUM("orders"."total") DESC NULLS LAST LIMIT 5')


def test_parts_of_a_time_are_whole_numbers_in_both_dialects() -> None:
    month = Part("month", Col("orders", "placed"))
    plan = Select(table="orders", name="orders", outputs=(Output(month, "month"),))
    assert 'CAST(STRFTIME(\'%m\', "orders"."placed") AS INTEGER)' in compile_plan(plan, shop()).sql
    assert (
        'CAST(EXTRACT(MONTH FROM "orders"."placed") AS INT)'
        in compile_plan(plan, shop("postgres")).sql
    )


def test_rows_that_exist_double_nothing() -> None:
    paid = Filter(TOTAL, ">", (10,))
    plan = Select(
        table="customers",
        name="customers",
        outputs=(Output(Aggregate("count"), "n"),),
        where=(
            Exists(TO_ORDERS, (), (paid,), negated=True),
            AnyOf((Filter(Col("customers", "name"), "is null"),)),
        ),
    )
    assert compile_plan(plan, shop()).sql == (
        'SELECT COUNT(*) AS "n" FROM "customers" WHERE NOT EXISTS(SELECT 1 FROM "orders" '
        'WHERE "customers"."id" = "orders"."customer_id" AND "orders"."total" > :p1) '
        'AND ("customers"."name" IS NULL)'
    )


def test_ties_are_ranked() -> None:
    plan = Select(
        table="orders",
        name="orders",
        outputs=(Output(Col("orders", "id"), "place"),),
        order=(Order(TOTAL, descending=True),),
        limit=1,
        ties=True,
    )
    assert compile_plan(plan, shop()).sql == (
        'SELECT "place" FROM (SELECT "orders"."id" AS "place", RANK() OVER (ORDER BY '
        '"orders"."total" DESC) AS "place_" FROM "orders") AS ranked WHERE "place_" <= 1 '
        'ORDER BY "place_"'
    )


def test_text_is_never_a_pattern_of_the_askers() -> None:
    starts = Filter(Col("customers", "name"), "starts", ("100%_^x",))
    plan = Select(
        table="customers",
        name="customers",
        outputs=(Output(Col("customers", "id"), "id"),),
        where=(starts,),
    )
    assert compile_plan(plan, shop()).parameters == {"p1": "100^%^_^^x%"}


def test_changes() -> None:
    where = (Filter(Col("orders", "id"), "=", (7, 8)),)
    raised = Arithmetic("*", TOTAL, Value(1.1))
    update = compile_plan(
        Update(table="orders", set=(Assignment("total", raised),), where=where), shop()
    )
    assert update.sql == (
        'UPDATE "orders" SET "total" = ("orders"."total" * :p1) WHERE "orders"."id" IN (:p2, :p3)'
    )
    assert compile_plan(Delete(table="orders", where=where), shop()).sql == (
        'DELETE FROM "orders" WHERE "orders"."id" IN (:p1, :p2)'
    )
    insert = Insert(table="customers", columns=("id", "name"), rows=((1, "Ada"), (2, None)))
    assert compile_plan(insert, shop()).sql == (
        'INSERT INTO "customers" ("id", "name") VALUES (:p1, :p2), (:p3, NULL)'
    )


def outputs(value: Col | Aggregate) -> tuple[Output, ...]:
    return (Output(value, "out"),)


NAME = Col("customers", "name")
INVALID: list[tuple[Plan, str]] = [
    (Select(table="nowhere", name="n", outputs=outputs(NAME)), "no table nowhere"),
    (Select(table="customers", name="customers", outputs=outputs(TOTAL)), "no column orders.total"),
    (Select(table="customers", name="customers", outputs=()), "at least one output"),
    (
        Select(
            table="customers",
            name="customers",
            joins=(Join("orders", "orders", "customers", (("id", "id"),)),),
            outputs=outputs(NAME),
        ),
        "no foreign key",
    ),
    (
        Select(
            table="customers",
            name="customers",
            joins=(TO_ORDERS,),
            outputs=outputs(Aggregate("count", NAME)),
        ),
        "repeats the rows",
    ),
    (
        Select(
            table="orders", name="orders", outputs=(*outputs(TOTAL), *outputs(Aggregate("count")))
        ),
        "neither grouped by nor aggregated",
    ),
    (
        Select(
            table="orders",
            name="orders",
            outputs=outputs(TOTAL),
            where=(Filter(TOTAL, "=", (None,)),),
        ),
        "is null",
    ),
    (Select(table="orders", name="orders", outputs=outputs(TOTAL), limit=0), "at least one row"),
    (Delete(table="orders", where=()), "needs a condition"),
    (Insert(table="orders", columns=("id",), rows=((1, 2),)), "a value for each column"),
    (Insert(table="orders", columns=("id", "id"), rows=((1, 2),)), "each of its columns once"),
]


@pytest.mark.parametrize(("plan", "reason"), INVALID, ids=[reason for _, reason in INVALID])
def test_a_plan_that_does_not_fit_is_refused(plan: Plan, reason: str) -> None:
    with pytest.raises(InvalidPlan, match=reason):
        compile_plan(plan, shop())


def test_a_plan_in_words() -> None:
    told = explain(by_customer())
    assert told.summary == (
        "Reads customers.name, sum of orders.total from orders with customers where orders.placed is at "
        "least '2025-01-01' and number of rows is more than 2, for each customers.id, customers.name, "
        "sorted by sum of orders.total downwards, the first 5"
    )
    assert told.tables == ("orders", "customers")
    assert told.filters == (
        "orders.placed is at least '2025-01-01'",
        "number of rows is more than 2",
    )
