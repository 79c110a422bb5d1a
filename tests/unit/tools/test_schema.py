"""JSON Schema: what is accepted as a schema, and what is said of a value that does not fit."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from stepwell.errors import Code, InvalidRequest
from stepwell.tools.schema import MAX_DEPTH, MAX_PROBLEMS, MAX_SIZE, Schema, compiled

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
        "color": {"enum": ["red", "green", None]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "kind": {"const": "order"},
        "filters": {"type": "array", "items": {"$ref": "#/$defs/Filter"}, "maxItems": 3},
    },
    "required": ["name", "count"],
    "additionalProperties": False,
    "$defs": {
        "Filter": {
            "type": "object",
            "required": ["op"],
            "properties": {"op": {"type": ["string", "integer"]}},
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
        }
    },
}


def test_a_value_that_fits_has_no_problem() -> None:
    fits = {"name": "tea", "count": 3.0, "note": None, "filters": [{"op": "eq", "x-y": 1}]}
    assert Schema(ORDER).problems(fits) == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], ("the value must be object, it is the array []",)),
        (None, ("the value must be object, it is null",)),
        ({}, ('the value lacks "name", "count"',)),
    ],
)
def test_a_value_of_another_kind_is_told_so(value: object, told: tuple[str, ...]) -> None:
    assert Schema(ORDER).problems(value) == told


def test_every_problem_is_told_with_its_place_and_what_was_expected() -> None:
    value = {
        "nmae": 1,
        "name": "A1",
        "count": 0,
        "color": "blue",
        "note": 4,
        "kind": "other",
        "filters": [{}, {"op": True}, {"op": "a", "x-y": 1, "z": 2}, 3],
    }
    assert Schema(ORDER).problems(value) == snapshot(
        (
            'the value has no property "nmae"; did you mean "name" instead of "nmae"?; known are "name", "count", "color", "note", "kind", "filters"',
            'color must be one of "red", "green", null, it is the string "blue"',
            "count must be at least 1, it is 0",
            "filters must have at most 3 items, it has 4",
            'filters[0] lacks "op"',
            "filters[1].op must be string or integer, it is the boolean true",
            'filters[2] has no property "z"; known are "op"',
            "filters[3] must be object, it is 3",
            'kind must be "order", it is the string "other"',
            'name must match the pattern "^[a-z]+$", it is the string "A1"',
            "note fits none of the alternatives: note must be string, it is 4; or note must be null, it is 4",
        )
    )


def test_many_problems_are_counted_and_long_values_are_cut() -> None:
    schema = Schema({"items": {"type": "integer"}})
    problems = schema.problems(["x" * 5000] * 50)
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == "and 30 more problems"
    assert all(len(problem) < 200 for problem in problems)


def test_a_value_nested_too_deeply_is_a_problem_not_a_crash() -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]
    (problem,) = Schema({"items": {"$ref": "#"}}).problems(value)
    assert "nested too deeply" in problem


def deep() -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, 'type must be one of "array"'),
        ({"properties": {"a": {"pattern": "("}}}, "is not a 'regex'"),
        (
            {"$ref": "https://example.org/schema.json"},
            "lies outside the schema; nothing is fetched",
        ),
        ({"properties": {"a": {"$ref": "other.json"}}}, "lies outside the schema"),
        ({"$ref": "#/$defs/Absent"}, "names nothing in the schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "leave \\$schema out"),
        ({"properties": {"a": {"$id": "x"}}}, "only the root may have an \\$id"),
        ({"enum": ["x" * MAX_SIZE]}, f"the limit is {MAX_SIZE}"),
        ({"default": object()}, "it is not JSON"),
        (deep(), f"nested deeper than {MAX_DEPTH} levels"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_schema_of_ours_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refused:
        Schema(schema)
    assert refused.value.code is Code.INVALID_DEFINITION
    assert "schema" in refused.value.detail


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$id": "https://example.org/a", "$ref": "#/$defs/a", "$defs": {"a": True}},
        {"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}},
        {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"},
        {"const": {"$ref": "https://example.org"}},
    ],
    ids=str,
)
def test_what_looks_unusual_and_is_a_schema_is_accepted(schema: dict[str, Any]) -> None:
    Schema(schema)


def test_the_same_mapping_is_compiled_once() -> None:
    schema = {"type": "object"}
    assert compiled(schema) is compiled(schema)
    assert compiled(dict(schema)) is not compiled(schema)
