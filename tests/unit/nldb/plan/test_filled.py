"""A form as a model fills it in becomes the plan that it means, or says what is wrong with it."""

import itertools
from typing import Any

import msgspec
import pytest

from stepwell.llm.schemas import closed
from stepwell.nldb.model import Catalog, Column, Dialect, ForeignKey, Table, catalog
from stepwell.nldb.plan.filled import plan_of
from stepwell.nldb.plan.form import SCHEMA, Form
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
ORDERS = {"table": "orders", "how": "from"}
CUSTOMERS = {"table": "customers", "how": "from"}
THEIR_ORDERS = {
    "table": "orders",
    "how": "join",
    "on": [{"column": "orders.customer_id", "equals": "customers.id"}],
}
THEIR_CUSTOMERS = {**THEIR_ORDERS, "table": "customers"}
TOTAL = Col("orders", "total")


def shop(dialect: Dialect = "sqlite") -> Catalog:
    to_customer = ForeignKey(columns=("customer_id",), table="customers", referred=("id",))
    to_boss = ForeignKey(columns=("boss_id",), table="staff.people", referred=("id",))
    tables = (
        _table("customers", ["id", "name", "city"]),
        _table("orders", ["id", "customer_id", "total", "placed"], to_customer),
        _table("staff.people", ["id", "boss_id", "First Name"], to_boss, schema="staff"),
    )
    return catalog(
        dialect=dialect,
        version="1",
        default_schema="main",
        tables={table.name: table for table in tables},
    )


def _table(name: str, columns: list[str], *keys: ForeignKey, schema: str = "main") -> Table:
    made = tuple(Column(name=column) for column in columns)
    return Table(name=name, schema=schema, columns=made, primary_key=("id",), foreign_keys=keys)


def filled(verb: str, **members: Any) -> Plan:
    """The plan of a form, which has to fit the catalog as well."""
    plan = plan_of(msgspec.convert({"verb": verb, **members}, Form), shop())
    compile_plan(plan, shop())
    return plan


def where(value: str, comparison: str, *values: Any, label: str = "") -> dict[str, Any]:
    return {"value": value, "comparison": comparison, "values": values, "any": label}


def test_a_grouped_question() -> None:
    plan = filled(
        "select",
        tables=[ORDERS, THEIR_CUSTOMERS],
        outputs=[
            {"value": "customers.name", "name": "name"},
            {"value": "sum(orders.total) / count(*)", "name": "each"},
        ],
        where=[where("year(orders.placed)", "=", 2025), where("count(*)", ">", 2)],
        group=["name"],
        order=[{"value": "each", "descending": True}],
        limit=5,
        ties=True,
    )

    each = Arithmetic("/", Aggregate("sum", TOTAL), Aggregate("count"))
    assert plan == Select(
        table="orders",
        name="orders",
        joins=(Join("customers", "customers", "orders", (("customer_id", "id"),)),),
        outputs=(Output(Col("customers", "name"), "name"), Output(each, "each")),
        where=(Filter(Part("year", Col("orders", "placed")), "=", (2025,)),),
        group=(Col("customers", "name"),),
        having=(Filter(Aggregate("count"), ">", (2,)),),
        order=(Order(each, descending=True),),
        limit=5,
        ties=True,
    )


def test_a_condition_on_a_table_that_has_to_exist_belongs_to_it() -> None:
    named = {**THEIR_ORDERS, "name": "o", "how": "not exists"}
    named["on"] = [{"column": "customers.id", "equals": "o.customer_id"}]
    plan = filled(
        "select",
        tables=[CUSTOMERS, named],
        outputs=[{"value": "count(*)", "name": "n"}],
        where=[where("O.Total", ">", 10), where("city", "=", "Oslo", "Rome")],
    )

    first = Join("orders", "o", "customers", (("id", "customer_id"),))
    assert plan == Select(
        table="customers",
        name="customers",
        outputs=(Output(Aggregate("count"), "n"),),
        where=(
            Filter(Col("customers", "city"), "=", ("Oslo", "Rome")),
            Exists(first, (), (Filter(Col("o", "total"), ">", (10,)),), negated=True),
        ),
    )


def test_conditions_with_one_label_are_alternatives() -> None:
    plan = filled(
        "select",
        tables=[CUSTOMERS, {**THEIR_ORDERS, "how": "exists", "any": "a"}],
        outputs=[{"value": "name"}],
        where=[where("name", "is null", label="a"), where("city", "=", "Oslo")],
    )

    assert isinstance(plan, Select)
    assert plan.where == (
        Filter(Col("customers", "city"), "=", ("Oslo",)),
        AnyOf((Filter(Col("customers", "name"), "is null"), Exists(TO_ORDERS))),
    )


def test_a_table_is_there_twice_under_two_names() -> None:
    boss = {
        "table": "staff.people",
        "name": "boss",
        "how": "outer join",
        "on": [{"column": "people.boss_id", "equals": "boss.id"}],
    }
    plan = filled(
        "select",
        tables=[{"table": "staff.people"}, boss],
        outputs=[{"value": "staff.people.First Name"}, {"value": '"boss"."First Name"'}],
    )

    assert isinstance(plan, Select)
    assert plan.joins == (Join("staff.people", "boss", "people", (("boss_id", "id"),), outer=True),)
    assert [one.value for one in plan.outputs] == [
        Col("people", "First Name"),
        Col("boss", "First Name"),
    ]


def test_changes() -> None:
    update = filled(
        "update",
        changes="Orders",
        set=[{"column": "total", "expression": "total * 1.1"}, {"column": "orders.placed"}],
        where=[where("orders.id", "=", 7)],
    )
    delete = filled(
        "delete",
        changes="customers",
        tables=[{**THEIR_ORDERS, "how": "not exists"}],
        where=[where("customers.city", "=", "Oslo")],
    )
    insert = filled("insert", changes="customers", columns=["name", "CITY"], rows=[["Ida", None]])

    assert update == Update(
        table="orders",
        set=(
            Assignment("total", Arithmetic("*", TOTAL, Value(1.1))),
            Assignment("placed", Value(None)),
        ),
        where=(Filter(Col("orders", "id"), "=", (7,)),),
    )
    assert delete == Delete(
        table="customers",
        where=(
            Filter(Col("customers", "city"), "=", ("Oslo",)),
            Exists(TO_ORDERS, negated=True),
        ),
    )
    assert insert == Insert(table="customers", columns=("name", "city"), rows=(("Ida", None),))


def test_rows_that_are_added_may_be_those_of_a_question() -> None:
    plan = filled(
        "insert",
        changes="orders",
        columns=["customer_id"],
        tables=[CUSTOMERS],
        outputs=[{"value": "customers.id"}],
        where=[where("name", "=", "Ida")],
    )

    assert isinstance(plan, Insert)
    assert plan.select is not None
    assert plan.select.where == (Filter(Col("customers", "name"), "=", ("Ida",)),)


def test_a_change_of_a_table_of_another_schema_names_its_columns_by_the_bare_table() -> None:
    plan = filled(
        "delete", changes="staff.people", where=[where("staff.people.First Name", "=", "Ida")]
    )

    assert compile_plan(plan, shop("postgres")).sql == (
        'DELETE FROM "staff"."people" WHERE "people"."First Name" = CAST(:p1 AS TEXT)'
    )


@pytest.mark.parametrize(
    ("verb", "members", "said"),
    [
        ("select", {}, "the first of `tables`"),
        ("select", {"tables": [{"table": "order"}]}, "no table order; did you mean orders?"),
        ("select", {"tables": [ORDERS]}, "at least one output"),
        ("select", {"tables": [ORDERS, ORDERS]}, "have the name orders"),
        ("select", {"tables": [{**ORDERS, "name": 'o"; --'}]}, "is no name for a table"),
        ("select", {"tables": [ORDERS], "outputs": [{"value": "totl"}]}, "did you mean"),
        (
            "select",
            {"tables": [ORDERS], "outputs": [{"value": "id; select 1"}]},
            "not possible in an",
        ),
        ("select", {"tables": [ORDERS], "outputs": [{"value": "customers.id"}]}, "no table of"),
        ("select", {"tables": [ORDERS], "outputs": [{"value": "id"}] * 2}, "two outputs"),
        ("select", {"tables": [ORDERS], "outputs": [{"value": "id"}], "limit": -1}, "limit"),
        ("select", {"tables": [ORDERS], "set": [{"column": "id"}]}, "`set` has no place"),
        ("select", {"tables": [ORDERS] * 101}, "more than 100"),
        ("select", {"tables": [CUSTOMERS, {"table": "orders", "how": "join"}]}, "foreign key"),
        (
            "select",
            {"tables": [CUSTOMERS, {**THEIR_ORDERS, "on": [{"column": "id", "equals": "name"}]}]},
            "several tables have a column id",
        ),
        (
            "select",
            {
                "tables": [CUSTOMERS, {**THEIR_ORDERS, "how": "exists"}],
                "outputs": [{"value": "total"}],
            },
            "orders only has to exist",
        ),
        (
            "select",
            {
                "tables": [CUSTOMERS, THEIR_ORDERS],
                "outputs": [{"value": "count(customers.id)"}],
            },
            "a join repeats the rows of customers",
        ),
        (
            "select",
            {
                "tables": [ORDERS],
                "outputs": [{"value": "id"}],
                "where": [where("count(*)", ">", 1, label="a")],
            },
            "no alternatives",
        ),
        ("update", {"changes": "orders", "set": [{"column": "total"}]}, "needs a condition"),
        ("update", {"changes": "orders", "where": [where("id", "=", 1)]}, "sets at least one"),
        ("update", {"changes": "orders", "limit": 3}, "`limit` has no place"),
        ("delete", {"changes": "orders", "tables": [CUSTOMERS]}, "a change is of one table"),
        ("delete", {"changes": "orders", "where": [where("count(*)", "=", 1)]}, "aggregate"),
        ("delete", {"changes": "ordres"}, "did you mean orders?"),
        (
            "insert",
            {"changes": "customers", "columns": ["nmae"], "rows": [["x"]]},
            "did you mean name?",
        ),
        ("insert", {"changes": "customers", "columns": ["name"], "rows": [["x", 1]]}, "each row"),
    ],
)
def test_what_a_form_cannot_mean_is_told(verb: str, members: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        filled(verb, **members)


def test_text_of_a_form_is_quoted_or_bound_and_never_sql() -> None:
    evil = 'x"; DROP TABLE orders; --'
    plan = filled(
        "select",
        tables=[ORDERS],
        outputs=[{"value": "total", "name": evil}],
        where=[where("id", "=", evil)],
    )

    compiled = compile_plan(plan, shop())
    assert compiled.sql == (
        'SELECT "orders"."total" AS "x""; DROP TABLE orders; --" FROM "orders" '
        'WHERE "orders"."id" = :p1'
    )
    assert compiled.parameters == {"p1": evil}


def test_providers_can_enforce_the_form() -> None:
    """Every member is required, nothing nests in itself, and there are few unions."""
    strict = closed(SCHEMA, all_required=True)
    assert strict is not None
    text = msgspec.json.encode(strict).decode()
    assert "$ref" not in text
    assert text.count("anyOf") <= 4
    assert depth(strict) <= 3
    assert set(SCHEMA["properties"]) == set(Form.__struct_fields__)


def depth(schema: Any) -> int:
    """How deep objects are in objects."""
    if not isinstance(schema, dict):
        return 0
    inner = itertools.chain(schema.get("properties", {}).values(), [schema.get("items")])
    return max(map(depth, inner), default=0) + (schema.get("type") == "object")
