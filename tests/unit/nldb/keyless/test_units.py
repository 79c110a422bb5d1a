"""What counts in cents is never compared with dollars."""

import pytest
from tests.unit.nldb.keyless.databases import database, understood

from stepwell.nldb.keyless.matcher import CannotAnswer, Understood

TILL = """
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price_cents INTEGER);
INSERT INTO products VALUES (1, 'Sencha', 1500), (2, 'Assam', 2500);
"""


@pytest.mark.parametrize(
    "question",
    ["Which products cost more than 20 dollars?", "products that cost more than $20"],
)
def test_a_number_in_another_unit_is_refused(question: str) -> None:
    outcome = understood(question, database(TILL))

    assert outcome == CannotAnswer(
        "price_cents counts in cents, and the question does not say so; say how many cents"
    )


def test_a_number_in_the_unit_of_the_column_is_compared() -> None:
    outcome = understood("products with price cents over 2000", database(TILL))

    assert isinstance(outcome, Understood)


def test_an_answer_says_in_what_it_counts() -> None:
    outcome = understood("What is the average price cents of products?", database(TILL))

    assert isinstance(outcome, Understood)
    assert outcome.plan.assumptions[-1] == "price_cents counts in cents"
