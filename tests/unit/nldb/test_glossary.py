"""The glossary beside a database."""

import pytest
from bench.nldb.databases import read_catalog, read_samples
from tests.unit.nldb.keyless.databases import SHOP, database

from stepwell.definitions.problems import InvalidDefinition
from stepwell.nldb.glossary import check_glossary, read_glossary
from stepwell.nldb.keyless.matcher import Understood, understand
from stepwell.nldb.keyless.world import World
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.model import Access, TableAccess, open_access
from stepwell.nldb.plan.sql import compile_plan

GOOD = b"""
terms:
  customers: [punter, regular]
  orders.ship_city: [destination]
metrics:
  takings:
    table: order_items
    value: sum(unit_price * quantity)
    also: [net sales]
  basket:
    table: order_items
    value: sum(unit_price * quantity) / count(distinct order_id)
joins:
  - [orders.ship_city, customers.city]
"""


def answer(question: str) -> object:
    made = database(SHOP)
    known = read_catalog(made)
    glossary = read_glossary(
        GOOD.replace(b"joins:\n  - [orders.ship_city, customers.city]\n", b""), known
    )
    seen = World(
        known, open_access(known), ValueIndex(read_samples(made, known)), glossary=glossary
    )
    outcome = understand(question, seen)
    assert isinstance(outcome, Understood), outcome
    compiled = compile_plan(outcome.plan, seen.catalog)
    return made.execute(compiled.sql, compiled.parameters).fetchall()


def test_terms_and_metrics_are_understood() -> None:
    assert answer("How many punters do we have?") == [(4,)]
    assert answer("What is the basket?") == [(160.5 / 5,)]
    assert answer("Net sales per category") == [("Tea", 86.5), ("Coffee", 56), ("Cups", 18)]


def test_a_join_hint_is_a_foreign_key() -> None:
    known = read_catalog(database(SHOP))
    joined = read_glossary(GOOD, known).joined(known)
    assert {key.table for key in joined.tables["orders"].foreign_keys} == {"customers"}
    assert len(joined.tables["orders"].foreign_keys) == 2
    assert joined.fingerprint == known.fingerprint


def test_a_metric_of_what_may_not_be_seen_is_not_there() -> None:
    known = read_catalog(database(SHOP))
    tables = {name: TableAccess() for name in known.tables}
    tables["order_items"] = TableAccess(columns=("id", "order_id", "product_id", "quantity"))
    seen = World(known, Access(tables=tables), ValueIndex(), glossary=read_glossary(GOOD, known))
    assert not seen.metrics


def test_every_mistake_is_told_at_once_with_its_place_and_the_nearest_name() -> None:
    source = b"""terms:
  custmers: [punter]
  orders.ship_ctiy: [destination]
  products: []
metrics:
  takings: { table: order_item, value: sum(quantity) }
  volume: { table: order_items, value: sum(quantty) }
  alone: { table: order_items, value: quantity }
  nested: { table: order_items, value: sum(avg(quantity)) }
  loud: { table: order_items, value: "upper(quantity)" }
  Volume: { table: order_items, value: sum(quantity), alos: [x] }
joins:
  - [orders.ship_city, cities.name]
"""
    problems = [str(p) for p in check_glossary(source, read_catalog(database(SHOP)))]
    assert [text.split(":")[0] for text in problems] == [
        "2",
        "3",
        "4",
        "6",
        "7",
        "8",
        "9",
        "10",
        "11",
        "11",
        "13",
    ]
    told = "\n".join(problems)
    for hint in (
        "`customers`",
        "`ship_city`",
        "`order_items`",
        "`quantity`",
        "`also`",
        "line 7",
        "no table cities",
    ):
        assert hint in told


def test_a_glossary_that_is_wrong_is_not_read() -> None:
    with pytest.raises(InvalidDefinition, match="no table nowhere"):
        read_glossary(b"terms: { nowhere: [x] }", read_catalog(database(SHOP)))


@pytest.mark.parametrize(
    "source", [b"", b"- a", b"terms: 5", b"metrics: [1]", b"joins: {}", b"\xff", b"joins: [[a], 3]"]
)
def test_no_document_makes_reading_fail(source: bytes) -> None:
    assert check_glossary(source, read_catalog(database(SHOP)))
