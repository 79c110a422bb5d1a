"""Which tools are found by which words, and in which order."""

import difflib
import time

import pytest
from mcp_types import Tool

from stepwell_mcp.search import Index, Names


def tool(name: str, description: str = "", *arguments: str, title: str | None = None) -> Tool:
    properties = {argument: {"type": "string"} for argument in arguments}
    return Tool(
        name=name,
        title=title,
        description=description,
        input_schema={"type": "object", "properties": properties},
    )


SHOP = Index(
    [
        tool("create_invoice", "Writes an invoice for an order.", "order", "currency"),
        tool("list_invoices", "Lists what was invoiced.", "customer"),
        tool("refundPayment", "Gives money back.", "payment", "amount", title="Refund"),
        tool("chat.post", "Posts a message to a channel. It may mention an invoice.", "channel"),
        tool("weather", "Tells the weather of a city.", "city"),
    ]
)


def found(query: str, index: Index = SHOP) -> list[str]:
    return [tool.name for tool in index.search(query)]


def test_a_word_in_the_name_counts_more_than_one_in_the_description() -> None:
    assert found("invoice") == ["create_invoice", "list_invoices", "chat.post"]


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    assert found("invoice channel")[0] == "chat.post"


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("refund a payment", "refundPayment"),
        ("REFUND", "refundPayment"),
        ("cities", "weather"),
        ("currency", "create_invoice"),
        ("customers", "list_invoices"),
        ("post messages", "chat.post"),
        ("money", "refundPayment"),
        ("list_invoices", "list_invoices"),
    ],
)
def test_tools_are_found_by_name_title_description_and_arguments(query: str, first: str) -> None:
    assert found(query)[0] == first


def test_a_beginning_of_a_word_finds_it() -> None:
    assert found("weath") == ["weather"]
    assert found("weatherman") == ["weather"]


def test_a_name_that_is_misspelt_is_found() -> None:
    assert found("wether") == ["weather"]


def test_no_words_find_everything_by_name() -> None:
    everything = ["chat.post", "create_invoice", "list_invoices", "refundPayment", "weather"]
    assert found("") == everything
    assert found("  ,;") == everything


def test_what_nothing_is_like_finds_nothing() -> None:
    assert found("zzz qqq") == []


def test_nothing_is_found_where_nothing_is() -> None:
    assert found("invoice", Index([])) == []
    assert found("", Index([])) == []


def test_a_long_query_over_many_tools_takes_no_time() -> None:
    many = Index([tool(f"tool_{number}", f"word{number} " * 50) for number in range(1000)])
    begun = time.process_time()
    many.search(" ".join(f"word{number}" for number in range(1000)))
    many.search("w" * 100_000)
    assert time.process_time() - begun < 1


def test_of_thousands_of_names_few_are_compared_letter_by_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[int] = []
    compare = difflib.get_close_matches

    def counting(word: str, names: list[str], n: int, cutoff: float) -> list[str]:
        compared.append(len(names))
        return compare(word, names, n=n, cutoff=cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    names = Names(f"orders_{number}_refund" for number in range(3000))
    assert names.nearest("order_1234_refunds")[0] == "orders_1234_refund"
    assert names.nearest("x" * 10_000) == []
    assert max(compared) == 50


def test_a_name_is_found_whatever_its_length() -> None:
    names = Names(("a", "ab", "orders"))
    assert (names.nearest("aa"), names.nearest("order"), names.nearest("")) == (
        ["a", "ab"],
        ["orders"],
        [],
    )
