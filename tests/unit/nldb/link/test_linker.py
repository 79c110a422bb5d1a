"""Which tables a question is about."""

import asyncio

from bench.linking import measure_linking
from bench.nldb.databases import read_catalog, read_samples
from tests.unit.nldb.keyless.databases import SHOP, database

from stepwell.nldb.link.linker import Linker
from stepwell.nldb.link.values import ValueIndex


def linker(terms: dict[str, list[str]] | None = None) -> Linker:
    made = database(SHOP)
    known = read_catalog(made)
    return Linker(known, ValueIndex(read_samples(made, known)), terms=terms)


def names(question: str, made: Linker, most: int = 12) -> list[str]:
    return [table.name for table in made.link(question, most=most).tables]


def test_the_table_that_is_named_comes_first() -> None:
    assert names("How many suppliers are there?", linker())[0] == "suppliers"


def test_a_word_that_means_the_same_finds_the_table() -> None:
    assert names("Which clients are new?", linker())[0] == "customers"


def test_a_value_finds_the_table_that_has_it() -> None:
    linked = linker().link("How is Espresso Roast doing?")
    assert linked.tables[0].name == "products"
    assert linked.values[0].values == ("Espresso Roast",)


def test_what_lies_between_comes_along() -> None:
    found = names("categories by customers", linker(), most=5)
    assert {"categories", "customers", "orders", "products"} <= set(found) | {"order_items"}


def test_a_term_of_the_glossary_finds_its_table() -> None:
    assert names("Show me the punters", linker({"customers": ["punter"]}))[0] == "customers"


def test_words_that_are_nowhere_find_nothing() -> None:
    assert names("xyzzy", linker()) == []


def test_a_thousand_tables_are_linked() -> None:
    figures = asyncio.run(measure_linking("sqlite", quick=True))
    assert figures["linking.recall_at_12"] >= 0.95
