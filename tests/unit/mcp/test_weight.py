"""What definitions cost, and which are told to be longer than they should be."""

from typing import Any

import pytest

from stepwell_mcp.weight import complaints, tokens


def definition(**more: Any) -> dict[str, Any]:
    return {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}, **more}


def test_four_bytes_of_json_are_a_token() -> None:
    assert tokens([]) == 0
    assert tokens([{"a": "123456"}]) == 3  # {"a":"123456"} has 14 bytes
    assert tokens([{"a": "123456"}] * 2) == 7


def test_a_definition_of_a_fair_length_is_left_in_peace() -> None:
    assert complaints(definition()) == []
    assert complaints(definition(description="x" * 500, name="a" * 64)) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "a" * 65}, "its name has 65 letters"),
        ({"description": " "}, "it has no description"),
        ({"description": None}, "it has no description"),
        ({"description": "x" * 501}, "its description has 501 characters; say it in 500"),
        ({"inputSchema": {"enum": ["x" * 4000]}}, "its definition is about 10"),
    ],
)
def test_what_costs_more_than_it_helps_is_told(more: dict[str, Any], said: str) -> None:
    (complaint,) = complaints(definition(**more))
    assert complaint.startswith(said)
