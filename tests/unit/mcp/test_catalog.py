"""What somebody is shown: all of it on pages, or three tools that find the rest."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from mcp_types import Tool
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION

from stepwell.config import ToolsetSettings
from stepwell.errors import Code, InvalidRequest
from stepwell.tools.port import ToolSpec
from stepwell_mcp import catalog as catalogs
from stepwell_mcp.catalog import PAGE_SIZE, Catalog
from stepwell_mcp.meta_tools import META_TOOLS
from stepwell_mcp.offers import offered
from stepwell_mcp.run_tools import RUN_TOOLS
from stepwell_mcp.selection import EVERYTHING, Choice, Offering, Selection

TOKEN = 4
"""Bytes of JSON that are one token, which is what such texts take on average."""
BUDGET = 2000
"""Tokens that a thousand tools may cost a model that has not asked for any."""
MOST = 0.020
"""Seconds of the processor in which a thousand tools are told."""


def tools(count: int, **more: Any) -> list[Tool]:
    schema = {
        "type": "object",
        "required": ["customer"],
        "properties": {
            "customer": {"type": "string", "description": "The number of the customer."},
            "amount": {"type": "integer", "minimum": 0, "description": "How much, in cents."},
            "note": {"type": "string", "description": "What to write beside it."},
        },
    }
    specs = [
        ToolSpec(
            name=f"tool_{number:04}",
            description=f"Does the thing of the number {number}, and tells what came of it.",
            input_schema=schema,
            **more,
        )
        for number in range(count)
    ]
    return offered(specs, [], any_root=True)


def catalog(
    offers: list[Tool], selection: Selection = EVERYTHING, offering: Offering | None = None
) -> Catalog:
    offering = offering or Offering()
    return Catalog(offers, offering.view(selection), most_listed=offering.most_listed)


def every_page(given: Catalog, version: str = LATEST_MODERN_VERSION) -> list[list[dict[str, Any]]]:
    pages = []
    cursor = None
    while True:
        page, cursor = given.page(cursor, version)
        pages.append(page)
        if cursor is None:
            return pages


def names(pages: list[list[dict[str, Any]]]) -> list[str]:
    return [tool["name"] for page in pages for tool in page]


def tokens(tools: object) -> int:
    return len(json.dumps(tools, separators=(",", ":")).encode()) // TOKEN


def test_pages_hold_everything_once_and_in_order() -> None:
    offers = tools(2 * PAGE_SIZE)
    pages = every_page(catalog(offers, Selection(surface="full")))
    assert names(pages) == [tool.name for tool in offers]
    assert [len(page) for page in pages] == [PAGE_SIZE, PAGE_SIZE, len(RUN_TOOLS)]


def test_a_cursor_goes_on_where_it_was_when_the_tool_that_it_names_has_gone() -> None:
    offers = tools(2 * PAGE_SIZE)
    before = catalog(offers, Selection(surface="full"))
    page, cursor = before.page(None, LATEST_MODERN_VERSION)
    left = [tool for tool in offers if tool.name != page[-1]["name"]]
    after, _ = catalog(left, Selection(surface="full")).page(cursor, LATEST_MODERN_VERSION)
    assert after[0]["name"] == offers[PAGE_SIZE].name


@pytest.mark.parametrize("cursor", ["x", "****", "W10=", "ewo=", "é"])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        catalog([]).page(cursor, LATEST_MODERN_VERSION)
    assert refused.value.code is Code.INVALID_CURSOR


def test_a_thousand_tools_cost_a_model_less_than_the_budget() -> None:
    (page,) = every_page(catalog(tools(1000)))
    assert {tool["name"] for tool in page} == META_TOOLS | RUN_TOOLS.keys()
    assert tokens(page) <= BUDGET
    assert tokens(every_page(catalog(tools(1000), Selection(surface="full")))) > 50 * BUDGET


@pytest.mark.parametrize("version", [LATEST_MODERN_VERSION, *HANDSHAKE_PROTOCOL_VERSIONS])
def test_a_thousand_tools_are_told_in_less_than_the_time(version: str) -> None:
    given = catalog(tools(1000), Selection(surface="full"))
    every_page(given, version)
    assert min(measured(lambda: json.dumps(every_page(given, version)))) <= MOST


def measured(work: Callable[[], object]) -> list[float]:
    spent = []
    for _ in range(5):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return spent


def test_as_many_as_may_be_listed_are_listed_and_no_more() -> None:
    offering = Offering(most_listed=5)
    assert not catalog(tools(5), offering=offering).is_searched
    assert catalog(tools(6), offering=offering).is_searched


@pytest.mark.parametrize(("surface", "is_searched"), [("full", False), ("search", True)])
def test_a_surface_that_is_chosen_holds_whatever_the_number(
    surface: Any, is_searched: bool
) -> None:
    offering = Offering(most_listed=5)
    for count in (1, 10):
        found = catalog(tools(count), Selection(surface=surface), offering)
        assert found.is_searched is is_searched


def test_a_toolset_says_which_surface_its_clients_get() -> None:
    offering = Offering({"few": ToolsetSettings(surface="search")}, surface="full")
    assert catalog(tools(1), Selection((Choice(("few",)),)), offering).is_searched
    assert not catalog(tools(1), EVERYTHING, offering).is_searched


def test_what_only_calls_what_reads_only_says_that_it_reads_only() -> None:
    for read_only in (True, False):
        chosen = Selection(read_only=read_only, surface="search")
        (page,) = every_page(catalog(tools(3, read_only=True), chosen))
        hints = {tool["name"]: tool["annotations"]["readOnlyHint"] for tool in page}
        assert hints["call_tool"] is read_only
        assert ("run_cancel" in hints) is not read_only
        assert [hints[name] for name in ("search_tools", "describe_tools", "run_get")] == [True] * 3


def test_an_offer_is_made_ready_for_the_wire_once_however_many_choose_it() -> None:
    offers = tools(3)
    one, other = (catalog(offers, Selection(read_only=reads)) for reads in (False, False))
    assert [id(tool) for tool in every_page(one)[0]] == [id(tool) for tool in every_page(other)[0]]


def test_a_page_after_many_others_is_still_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "MOST_WIRES", 5)
    offers = tools(10)
    expected = [tool.name for tool in offers]
    for _ in range(3):
        assert names(every_page(catalog(offers))) == expected
        assert len(catalogs._wires) <= max(5, len(expected))
