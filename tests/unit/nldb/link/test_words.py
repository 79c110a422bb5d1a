"""Words of names, and when two are the same."""

import pytest

from stepwell.nldb.link.words import folded, singular, words_of, words_of_name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("InvoiceLine", ("invoice", "line")),
        ("invoice_line", ("invoice", "line")),
        ("unitPriceUSD", ("unit", "price", "usd")),
        ("HTTPStatus2", ("http", "status", "2")),
        ("ORDER_ID", ("order", "id")),
        ("straße_nr", ("strasse", "nr")),
    ],
)
def test_names_are_split(name: str, words: tuple[str, ...]) -> None:
    assert words_of_name(name) == words


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("cities", "city"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("people", "person"),
        ("status", "status"),
        ("invoices", "invoice"),
        ("glass", "glass"),
    ],
)
def test_plurals_lose_their_ending(many: str, one: str) -> None:
    assert singular(many) == one


def test_accents_and_case_do_not_matter() -> None:
    assert folded("Gonçalves ØRSTED Łódź") == "goncalves orsted lodz"
    assert words_of("AC/DC's 2nd") == ("ac", "dc", "s", "2nd")
