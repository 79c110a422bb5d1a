"""What rules see of a tool's arguments."""

from typing import Any

import pytest

from stepwell.policy.shapes import Attribute, Record, Scalar, SetOf, input_shape
from stepwell.policy.values import Unreadable, seen


def shape_of(**properties: Any) -> Record:
    return input_shape({"type": "object", "properties": properties})


def test_each_type_of_json_schema_has_one_of_cedar() -> None:
    shape = shape_of(
        text={"type": "string"},
        color={"enum": ["red", "blue"]},
        count={"type": "integer"},
        price={"type": "number"},
        sure={"type": "boolean"},
        tags={"type": "array", "items": {"type": "string"}},
        place={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        maybe={"anyOf": [{"type": "integer"}, {"type": "null"}]},
    )
    assert shape == Record(
        {
            "text": Attribute(Scalar("String"), required=False),
            "color": Attribute(Scalar("String", frozenset({"red", "blue"})), required=False),
            "count": Attribute(Scalar("Long"), required=False),
            "price": Attribute(Scalar("Decimal"), required=False),
            "sure": Attribute(Scalar("Boolean"), required=False),
            "tags": Attribute(SetOf(Scalar("String")), required=False),
            "place": Attribute(
                Record({"city": Attribute(Scalar("String"), required=True)}), required=False
            ),
            "maybe": Attribute(Scalar("Long"), required=False),
        }
    )


def test_what_rules_could_misread_is_not_seen_and_says_why() -> None:
    shape = shape_of(
        either={"type": ["string", "integer"]},
        any={},
        pair={"type": "array", "prefixItems": [{"type": "string"}]},
        holes={"type": "array", "items": {"type": ["string", "null"]}},
        elsewhere={"$ref": "https://example.com/schema"},
        lost={"$ref": "#/$defs/lost"},
        nothing={"type": "null"},
        __extn={"type": "string"},
    )
    assert not shape.attributes
    assert shape.unseen == {
        "either": "it may be of more than one type",
        "any": "its schema tells no type",
        "pair": "its items have types of their own",
        "holes": "its items may be null",
        "elsewhere": "its schema lies elsewhere (https://example.com/schema)",
        "lost": "its schema is not there (#/$defs/lost)",
        "nothing": "it may be of more than one type",
        "__extn": "Cedar keeps this name for itself",
    }


def test_a_schema_that_refers_to_itself_is_seen_as_far_as_it_does_not() -> None:
    schema = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/tree"}},
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"size": {"type": "integer"}, "left": {"$ref": "#/$defs/tree"}},
            }
        },
    }
    tree = input_shape(schema).attributes["tree"].shape
    assert isinstance(tree, Record)
    assert list(tree.attributes) == ["size"]
    assert tree.unseen == {"left": "its schema refers to itself"}


def test_a_schema_bomb_shows_nothing_and_takes_no_time() -> None:
    levels = {
        f"l{level}": {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/l{level + 1}"} for name in "abcdefghij"},
        }
        for level in range(20)
    }
    bomb = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/l0"}},
        "$defs": {**levels, "l20": {"type": "string"}},
    }
    shape = input_shape(bomb)
    assert not shape.attributes
    assert shape.unseen[""].startswith("the tool has more than 500 named values")


def test_references_in_a_circle_end() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    }
    assert input_shape(schema).unseen == {"a": "its schema refers from one to the next without end"}


def test_arguments_are_seen_as_they_are() -> None:
    shape = shape_of(
        count={"type": "integer"},
        price={"type": "number"},
        tags={"type": "array", "items": {"type": "string"}},
    )
    given = {"count": 5.0, "price": 0.1, "tags": ["b", "a"], "other": 1}
    assert seen(shape, given) == {
        "count": 5,
        "price": {"__extn": {"fn": "decimal", "arg": "0.1000"}},
        "tags": ["b", "a"],
    }


def test_an_argument_that_is_left_out_is_seen_as_its_default() -> None:
    shape = shape_of(count={"type": "integer", "default": 100})
    assert seen(shape, {}) == {"count": 100}
    assert shape.attributes["count"].is_always_there


def test_null_is_seen_as_nothing() -> None:
    shape = shape_of(count={"type": ["integer", "null"]})
    assert seen(shape, {"count": None}) == {}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"count": 2**63}, "count: rules can weigh whole numbers of 64 bits, this one is larger"),
        ({"count": True}, "count: a whole number is expected"),
        ({"count": "5"}, "count: a whole number is expected"),
        ({"price": 0.00001}, "price: rules can weigh numbers of at most 4 decimals"),
        ({"price": 1e300}, "price: rules can weigh numbers up to 922337203685477.5807"),
        ({"tags": "a"}, "tags: an array is expected"),
        ({"tags": [1]}, "tags: text is expected"),
        ({"place": {}}, "place.city: it is missing"),
        ([], "the arguments: an object is expected"),
    ],
)
def test_nothing_is_rounded_or_guessed(value: Any, why: str) -> None:
    shape = shape_of(
        count={"type": "integer"},
        price={"type": "number"},
        tags={"type": "array", "items": {"type": "string"}},
        place={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
    with pytest.raises(Unreadable) as caught:
        seen(shape, value)
    assert str(caught.value).startswith(why)


def test_only_what_is_asked_for_is_read() -> None:
    shape = shape_of(count={"type": "integer"}, price={"type": "number"})
    assert seen(shape, {"count": 5, "price": 0.00001}, {"count"}) == {"count": 5}
