"""Closing a schema never lets a wrong answer through, and never is done at a right one's cost."""

from typing import Any

import pytest

from stepwell.engine.messages import Message
from stepwell.llm.port import ModelRequest
from stepwell.llm.schemas import closed, in_words

TEXT = {"type": "string"}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def test_every_object_is_closed() -> None:
    schema = an_object(a=an_object(b=TEXT), c={"type": "array", "items": an_object(d=TEXT)})

    result = closed(schema, all_required=True)

    assert result is not None
    assert result["additionalProperties"] is False
    assert result["properties"]["a"]["additionalProperties"] is False
    assert result["properties"]["c"]["items"]["additionalProperties"] is False
    assert "additionalProperties" not in schema


def test_a_choice_of_types_becomes_a_choice_of_schemas() -> None:
    result = closed(an_object(a={"type": ["string", "null"]}), all_required=True)

    assert result is not None
    assert result["properties"]["a"] == {"anyOf": [TEXT, {"type": "null"}]}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "number"}},
        an_object(a=TEXT) | {"additionalProperties": True},
        an_object(a={"oneOf": [TEXT]}),
        an_object(a=True),
    ],
)
def test_what_would_refuse_right_answers_is_left_alone(schema: dict[str, Any]) -> None:
    assert closed(schema, all_required=False) is None


def test_an_optional_property_matters_only_where_all_are_required() -> None:
    schema = an_object(a=TEXT, b=TEXT) | {"required": ["a"]}

    assert closed(schema, all_required=True) is None
    assert closed(schema, all_required=False) == schema | {"additionalProperties": False}


def test_a_schema_in_words_is_an_instruction() -> None:
    ask = Message(role="user", text="Where?")

    told = in_words(ModelRequest(messages=(ask,), output={"type": "object"}))

    assert told.output is None
    assert told.messages[0].role == "system"
    assert '{"type":"object"}' in told.messages[0].text
    assert told.messages[1:] == (ask,)
