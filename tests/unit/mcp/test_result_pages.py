"""Outputs in parts: nothing is lost, and nothing comes twice."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from stepwell.errors import Code, InvalidRequest
from stepwell_mcp.result_pages import Part, at, part_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


def parts(value: Any, most: int) -> list[Part]:
    """All parts of a value, one after another."""
    found = [part_of(value, most=most)]
    while found[-1].cursor:
        found.append(part_of(value, cursor=found[-1].cursor, most=most))
    return found


def whole(found: list[Part], value: Any) -> Any:
    """The value that the parts are of."""
    if found[0].value is not UNSET:
        return found[0].value
    if found[0].items is not UNSET:
        return [item for part in found for item in part.items or []]
    text = "".join(part.text or "" for part in found)
    return text if isinstance(value, str) else msgspec.json.decode(text)


@given(value=JSON, most=st.integers(8, 60))
@settings(max_examples=200, deadline=None)
def test_all_parts_together_are_the_whole(value: Any, most: int) -> None:
    found = parts(value, most)
    assert whole(found, value) == value
    for part in found:
        assert part.items is UNSET or len(msgspec.json.encode(part.items)) <= most + 2
        assert part.text is UNSET or len(part.text) <= most


def test_what_fits_comes_as_it_is() -> None:
    assert part_of({"a": 1}, most=100) == Part(value={"a": 1})


def test_a_list_comes_in_whole_items() -> None:
    rows = [{"n": n} for n in range(5)]
    assert parts(rows, 20) == [
        Part(items=rows[:2], first=0, total=5, cursor="item-2"),
        Part(items=rows[2:4], first=2, total=5, cursor="item-4"),
        Part(items=rows[4:], first=4, total=5),
    ]


def test_what_is_no_list_comes_as_text() -> None:
    assert parts("abcdef", 4) == [
        Part(text="abcd", first=0, total=6, cursor="text-4"),
        Part(text="ef", first=4, total=6),
    ]


@pytest.mark.parametrize("cursor", ["x", "item-1", "text-99", "item--1", "text-1e3"])
def test_a_cursor_of_something_else_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        part_of({"a": "long enough"}, cursor=cursor, most=5)
    assert refused.value.code == Code.INVALID_CURSOR


def test_a_part_is_named_by_its_pointer() -> None:
    value = {"rows": [{"a/b": 1}, {"c~d": 2}]}
    assert at(value, "") == value
    assert at(value, "/rows/0/a~1b") == 1
    assert at(value, "/rows/1/c~0d") == 2


@pytest.mark.parametrize(
    ("pointer", "there"),
    [
        ("/row", "there is rows, none"),
        ("/rows/2", "there is a list of 1 items"),
        ("/rows/0/x", "there is a single value"),
        ("/none/x", "there is an empty object"),
    ],
)
def test_a_pointer_to_nothing_is_told_what_there_is(pointer: str, there: str) -> None:
    with pytest.raises(InvalidRequest, match=there):
        at({"rows": [1], "none": {}}, pointer)
