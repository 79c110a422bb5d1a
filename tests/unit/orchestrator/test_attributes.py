"""What a token says of its bearer becomes attributes, or nothing."""

from typing import Any

import pytest

from stepwell.orchestrator.attributes import claimed, decoded, encoded, groups_of


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("42", ("42",)),
        (42, ("42",)),
        (True, ("true",)),
        (["eu", "us", "eu"], ("eu", "us")),
        (None, None),
        ("", None),
        ([], None),
        (1.5, None),
        ({"a": 1}, None),
        (["eu", {"a": 1}], None),
        (["eu", ""], None),
        ("x" * 257, None),
        ("a\x00", None),
        ([str(number) for number in range(101)], None),
    ],
)
def test_a_claim_becomes_an_attribute_or_nothing(value: Any, texts: tuple[str, ...] | None) -> None:
    expected = {} if texts is None else {"tenant": texts}
    assert claimed({"org": value, "other": "x"}, {"tenant": "org", "gone": "gone"}) == expected


def test_attributes_are_kept_as_they_are() -> None:
    known = {"tenant": ("42",), "groups": ("a", "b")}
    assert decoded(encoded(known)) == known
    assert groups_of(known) == {"a", "b"}
    assert groups_of({}) == frozenset()
