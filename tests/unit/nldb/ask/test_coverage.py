"""Every word of a question became something, and what a model says of it is so."""

import pytest

from stepwell.nldb.ask.coverage import Covered, assumed, misplaced, uncovered
from stepwell.nldb.plan.model import Aggregate, Col, Filter, Join, Order, Output, Select
from stepwell.nldb.plan.parts import parts_of

QUESTION = "Which clientele in Oslo quickly bought most?"
PLAN = Select(
    table="orders",
    name="o",
    joins=(Join("customers", "customers", "o", (("customer_id", "id"),)),),
    outputs=(Output(Col("customers", "name"), "buyer"),),
    where=(Filter(Col("customers", "city"), "=", ("Oslo", "New York")),),
    group=(Col("customers", "name"),),
    order=(Order(Aggregate("sum", Col("o", "total")), descending=True),),
    limit=1,
)
PARTS = parts_of(PLAN)


def test_a_word_that_nothing_is_said_of_is_found() -> None:
    covered = [Covered("invoices", "Invoice"), Covered("Country", ""), Covered("2024", "year")]

    assert uncovered("How many invoices by country in 2024 were refunded?", covered) == (
        "country",
        "refunded",
    )


@pytest.mark.parametrize(
    "use",
    [
        "orders",
        "the table customers",
        "CUSTOMERS.CITY = 'Oslo'",
        "new york",
        "total",
        "sorted by the sum, descending",
        "limit",
        "nothing",
    ],
)
def test_what_is_in_the_plan_is_a_place_for_a_word(use: str) -> None:
    assert misplaced([Covered("word", use)], PARTS) == ()


@pytest.mark.parametrize("use", ["used", "filter", "a condition", "city2", "york2", "count", "= ("])
def test_what_is_in_no_part_of_the_plan_is_none(use: str) -> None:
    assert misplaced([Covered("word", use)], PARTS) == ("word",)


def test_words_that_are_called_otherwise_in_the_plan_are_assumptions_in_its_own_words() -> None:
    covered = [
        Covered("clientele", "table customers, trust me: these are the best ones"),
        Covered("Oslo", "customers.city = Oslo"),
        Covered("quickly", "nothing"),
        Covered("most", "order by sum of o.total, descending"),
        Covered("which", "nothing"),
        Covered("unasked", "customers"),
    ]

    assert assumed(QUESTION, covered, PARTS) == (
        "'clientele' is taken as customers",
        "'quickly' is passed over",
        "'most' is taken as o.total",
    )
