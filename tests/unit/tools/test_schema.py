"""JSON Schema: what is accepted as a schema, and what is said of a value that does not fit."""

from typing import Any

import msgspec
import pytest
from inline_snapshot import snapshot

from stepwell.errors import Code, InvalidRequest
from stepwell.tools.schema import MAX_PROBLEMS, Schema, compiled
from stepwell.tools.schema_rules import MAX_DEPTH, MAX_PATTERNS, MAX_SIZE, MAX_VALUE_DEPTH

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
            "filters[1].op must be integer or string, it is the boolean true",
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


def test_a_great_many_problems_are_not_counted() -> None:
    """Each error takes as long as its enum is large: twenty thousand of them took 80 seconds."""
    schema = Schema({"items": {"enum": list(range(2000))}})
    problems = schema.problems(["x"] * 20_000)
    assert problems[0].startswith("[0] must be one of 0, 1, 2")
    assert problems[1:] == ("and perhaps more problems",)


def test_names_are_compared_only_with_so_many() -> None:
    """A thousand unknown names against a thousand known ones took 14 seconds."""
    known: dict[str, Any] = {f"name_number_{number}": {} for number in range(300)}
    schema = Schema({"properties": known, "additionalProperties": False})
    (problem,) = schema.problems({f"nmae_number_{number}": 1 for number in range(100)})
    assert problem.count(" instead of ") <= 20
    assert '"name_number_1" instead of "nmae_number_1"' in problem


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"additionalProperties": {"type": "null"}}, {"7": 1}, "7 must be null, it is 1"),
        ({"additionalProperties": {"type": "null"}}, {"07": 1}, "07 must be null, it is 1"),
        ({"items": {"items": False}}, [[1]], "[0][0] must be left out, it is 1"),
        ({"const": 1}, True, "the value must be 1, it is the boolean true"),
        ({"multipleOf": 3}, 10, "the value must be a multiple of 3, it is 10"),
        ({"maxLength": 1}, "ab", "the value must have at most 1 characters, it has 2"),
        ({"not": {"type": "null"}}, None, 'the value must not fit {"type":"null"}, it is null'),
        ({"uniqueItems": True}, [1, 1.0], "the value must not have the same item twice"),
        ({"contains": {"const": 1}}, [2], "the value has no item that fits `contains`"),
        ({"contains": True, "minContains": 2}, [2], "has fewer items that fit `contains`"),
        ({"contains": True, "maxContains": 1}, [2, 3], "has more items that fit `contains`"),
        ({"unevaluatedItems": False}, ["a", 1], 'may not have the items "a", 1'),
        ({"unevaluatedProperties": False}, {"a": 1}, 'the value has no property "a"'),
        ({"dependentRequired": {"a": ["b", "c"]}}, {"a": 1}, 'the value lacks "b", "c"'),
        ({"oneOf": [{}, {"type": "null"}, {"minimum": 1}]}, 3, "fits the alternatives 1 and 3"),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            'may not have the property "ab": its name must have at most 1 characters, it has 2',
        ),
    ],
    ids=lambda part: str(part)[:40],
)
def test_each_rule_has_its_sentence(schema: dict[str, Any], value: object, told: str) -> None:
    (problem,) = Schema(schema).problems(value)
    assert told in problem


@pytest.mark.parametrize(
    "value",
    [b"x", {1: 2}, "\ud800", [object()]],
    ids=["bytes", "number as key", "surrogate", "object"],
)
def test_a_value_that_is_no_json_is_told_so(value: object) -> None:
    (problem,) = Schema({"items": {"type": "string"}, "minLength": 1, "minProperties": 1}).problems(
        value
    )
    assert "it is not JSON" in problem


@pytest.mark.parametrize("levels", [MAX_VALUE_DEPTH + 1, 5000, 100_000])
def test_a_value_nested_too_deeply_is_a_problem_not_a_crash(levels: int) -> None:
    (problem,) = Schema({"items": {"$ref": "#"}}).problems(nested(levels))
    assert "nested too deeply" in problem


@pytest.mark.parametrize("length", [3, 9, 33, MAX_DEPTH - 3])
def test_what_may_be_checked_at_all_is_checked_without_using_up_the_stack(length: int) -> None:
    schema = Schema(row(length))
    fitting = nested(MAX_VALUE_DEPTH)
    while schema.problems(fitting):
        assert "nested too deeply" in schema.problems(fitting)[0]
        (fitting,) = fitting
    value = msgspec.json.decode(msgspec.json.encode(fitting).replace(b"null", b"3"))
    assert "fits none of the alternatives" in schema.problems(value)[0]


@pytest.mark.parametrize(
    "branch",
    [
        {"items": {"$ref": "#/$defs/t"}},
        {"items": {"anyOf": [{"allOf": [{"$ref": "#/$defs/t"}]}]}},
        {"prefixItems": [{"$ref": "#/$defs/t"}]},
    ],
    ids=str,
)
def test_a_schema_that_looks_twice_as_often_at_each_level_takes_few_levels(
    branch: dict[str, Any],
) -> None:
    schema = Schema(
        {"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [branch, branch | {"minItems": 5}]}}}
    )
    value: Any = "x"
    for _ in range(26):
        value = [value]
    assert "the value is nested too deeply" in schema.problems(value)[0]
    assert schema.problems([["x"], ["x"]]) == ()


@pytest.mark.parametrize(
    "schema",
    [
        {
            "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}},
            "additionalProperties": {"$ref": "#"},
        },
        {"anyOf": [{"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]},
        {"prefixItems": [{"$ref": "#"}, {"$ref": "#"}], "properties": {"a": {"$ref": "#"}}},
    ],
    ids=str,
)
def test_a_schema_that_looks_once_at_each_place_takes_many_levels(schema: dict[str, Any]) -> None:
    value: Any = {}
    for _ in range(150):
        value = {"a": value, "b": 1}
    assert Schema(schema).problems(value) == ()


def test_alternatives_inside_alternatives_are_told_only_so_deep() -> None:
    tree = {
        "anyOf": [
            {"items": {"$ref": "#"}, "type": "array"},
            {"additionalProperties": {"$ref": "#"}, "type": ["object", "array"], "minItems": 2},
            {"type": "null"},
        ]
    }
    value: object = 3
    for _ in range(40):
        value = [value]
    (problem,) = Schema(tree).problems(value)
    assert "fits none of the alternatives; or" in problem
    assert len(problem) < 2000


def nested(levels: int) -> list[Any]:
    value: list[Any] = [None]
    for _ in range(levels - 1):
        value = [value]
    return value


EMAIL = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        (EMAIL, "a.b@example.org", ()),
        (EMAIL, "a..b@example.org", "the value must match the pattern"),
        ("^(a+)+$", "a" * 50_000 + "b", "the value must match the pattern"),
        (r"^(a+)+\1b$", "a" * 50_000, "the value takes too long to be matched with the pattern"),
        (r"^\d$", "\N{ARABIC-INDIC DIGIT THREE}", "the value must match the pattern"),
    ],
    ids=lambda part: str(part)[:20],
)
def test_a_pattern_may_look_around_and_takes_no_time_without_end(
    pattern: str, text: str, told: str | tuple[()]
) -> None:
    problems = Schema({"pattern": pattern}).problems(text)
    assert problems == told or problems[0].startswith(told)


def deep() -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        schema = {"not": schema}
    return schema


def row(length: int) -> dict[str, Any]:
    """Subschemas that each refer to the next, and look at the same part of the value."""
    definitions: dict[str, Any] = {
        str(number): {"anyOf": [{"$ref": f"#/$defs/{number + 1}"}, {"type": "null"}]}
        for number in range(length // 2)
    }
    definitions[str(length // 2)] = {"type": "array", "items": {"$ref": "#/$defs/0"}}
    return {"$ref": "#/$defs/0", "$defs": definitions}


def doubling(length: int) -> dict[str, Any]:
    """Subschemas that each refer to the next twice."""
    definitions: dict[str, Any] = {
        str(number): {"allOf": [{"$ref": f"#/$defs/{number + 1}"}] * 2} for number in range(length)
    }
    return {"$ref": "#/$defs/0", "$defs": {**definitions, str(length): {"type": "object"}}}


def patterns(count: int) -> dict[str, Any]:
    return {"properties": {str(number): {"pattern": "a"} for number in range(count)}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, 'type must be one of "array"'),
        ({"properties": {"a": {"pattern": "("}}}, "a.pattern: it must be a regular expression"),
        ({"pattern": "(a{1000}){1000}"}, "pattern: it must be a regular expression, and no huge"),
        ({"properties": {"7": {"type": 7}}}, "at properties.7.type"),
        (
            {"$ref": "https://example.org/schema.json"},
            "lies outside the schema; nothing is fetched",
        ),
        ({"properties": {"a": {"$ref": "other.json"}}}, "lies outside the schema"),
        ({"$ref": "#/$defs/Absent"}, "names nothing in the schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "leave \\$schema out"),
        ({"$defs": {"a": {"$schema": "https://example.org"}}}, "leave \\$schema out"),
        ({"$ref": "file:///etc/hostname"}, "lies outside the schema"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}}}, "names nothing in the schema"),
        ({"$ref": "#/$defs/0", "$defs": [{}]}, "\\$defs: it must be object"),
        ({"$ref": "#/x-types/a", "x-types": {"a": {"$ref": "b"}}}, "lies outside the schema"),
        ({"$ref": "#/x-types/a", "x-types": {"a": {"type": "objekt"}}}, "x-types.a.type"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}, "leads back to itself"),
        ({"properties": {"a": {"$id": "x"}}}, "only the root may have an \\$id"),
        ({"enum": ["x" * MAX_SIZE]}, f"the limit is {MAX_SIZE}"),
        pytest.param({"default": object()}, "it is not JSON", id="object"),
        (deep(), f"nested deeper than {MAX_DEPTH} levels"),
        (row(MAX_DEPTH), f"more than {MAX_DEPTH} subschemas follow one another"),
        (doubling(30), "subschemas look at one value more than 10000 times"),
        (patterns(MAX_PATTERNS + 1), f"more than {MAX_PATTERNS} patterns"),
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
        {"$ref": "#/x~1types/0", "x/types": [{"type": "string"}]},
        {"$dynamicRef": "#node", "$defs": {"a": {"$dynamicAnchor": "node"}}},
        {"properties": {"next": {"$ref": "#"}}},
        row(MAX_DEPTH - 3),
        doubling(10),
        patterns(MAX_PATTERNS),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_what_looks_unusual_and_is_a_schema_is_accepted(schema: dict[str, Any]) -> None:
    Schema(schema)


def test_the_same_mapping_is_compiled_once() -> None:
    schema = {"type": "object"}
    assert compiled(schema) is compiled(schema)
    assert compiled(dict(schema)) is not compiled(schema)
