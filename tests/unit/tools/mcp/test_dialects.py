"""Schemas of older drafts in the words of JSON Schema 2020-12."""

from typing import Any

import pytest

from stepwell.tools.mcp.dialects import current
from stepwell.tools.schema import compiled

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def fits(schema: dict[str, Any], value: Any) -> bool:
    return not compiled(current(schema)).problems(value)


def test_a_schema_of_today_is_left_as_it_is() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "definitions": 1}
    assert current(schema) is schema
    assert current(True) is True
    assert current(None) is None


def test_definitions_are_found_where_they_are_now() -> None:
    schema = {
        "$schema": DRAFT_7,
        "type": "object",
        "properties": {"definitions": {"$ref": "#/definitions/word"}},
        "definitions": {"word": {"type": "string"}},
        "additionalProperties": False,
    }
    assert fits(schema, {"definitions": "a"})
    assert not fits(schema, {"definitions": 1})
    assert current(schema)["$defs"] == {"word": {"type": "string"}}


@pytest.mark.parametrize(
    ("value", "is_right"), [([1, "a"], True), (["a", 1], False), ([1, "a", 2], False)]
)
def test_tuples_are_what_they_were(value: list[Any], is_right: bool) -> None:
    schema = {
        "$schema": DRAFT_7,
        "items": [{"type": "integer"}, {"type": "string"}],
        "additionalItems": False,
    }
    assert fits(schema, value) is is_right


def test_dependencies_are_what_they_were() -> None:
    schema = {
        "dependencies": {
            "card": ["address"],
            "gift": {"properties": {"note": {"type": "string"}}, "required": ["note"]},
        }
    }
    assert fits(schema, {"card": 1, "address": 2})
    assert not fits(schema, {"card": 1})
    assert not fits(schema, {"gift": 1, "note": 2})


def test_exclusive_bounds_of_draft_4_are_what_they_were() -> None:
    schema = {"minimum": 1, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": False}
    assert [value for value in range(8) if fits(schema, value)] == [2, 3, 4, 5]


def test_every_place_of_a_schema_is_translated() -> None:
    old, new = {"$ref": "#/definitions/a"}, {"$ref": "#/$defs/a"}
    for word in ("not", "if", "contains", "additionalProperties", "items"):
        assert current({word: old}) == {word: new}
    for word in ("allOf", "anyOf", "oneOf"):
        assert current({word: [old]}) == {word: [new]}
    assert current({"properties": {"x": old}}) == {"properties": {"x": new}}
    assert current({"enum": [old], "const": old, "default": old}) == {
        "enum": [old],
        "const": old,
        "default": old,
    }
