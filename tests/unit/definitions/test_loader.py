"""What the loader takes, what it refuses, and that it knows where things stand."""

import json
import time

import pytest
from msgspec import UNSET

from stepwell.definitions.loader import MAX_BYTES, load
from stepwell.definitions.problems import Place
from stepwell.definitions.tree import MAX_DEPTH, MAX_VALUES


def test_scalars_mean_what_yaml_1_2_says() -> None:
    source = b"""
plain: [true, False, null, ~, 12, -3, 007, 0x1F, 0o17, 1.5, 1e3, .5]
words: [yes, no, on, off, y, 1_000, 12:30, 2001-01-01, 1.2.3, +]
quoted: ["true", '12', "null"]
empty:
1: a key is always a string
true: this one too
"""
    document = load(source)

    assert document.problems == ()
    assert document.value == {
        "plain": [True, False, None, None, 12, -3, 7, 31, 15, 1.5, 1000.0, 0.5],
        "words": ["yes", "no", "on", "off", "y", "1_000", "12:30", "2001-01-01", "1.2.3", "+"],
        "quoted": ["true", "12", "null"],
        "empty": None,
        "1": "a key is always a string",
        "true": "this one too",
    }


def test_every_value_and_key_has_its_place() -> None:
    document = load("é: 1\nlist:\n  - {a: x, b: 'it''s'}\n  - \"=y\"\n".encode())

    assert document.values == {
        (): Place(1, 1),
        ("é",): Place(1, 4, 0),
        ("list",): Place(3, 3),
        ("list", 0): Place(3, 5),
        ("list", 0, "a"): Place(3, 9, 0),
        ("list", 0, "b"): Place(3, 15),  # written with an escape
        ("list", 1): Place(4, 5, 1),
    }
    assert document.keys[("list", 0, "b")] == Place(3, 12, 0)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_as_json(indent: int | str | None) -> None:
    value: dict[str, object] = {
        "text": '😀 \x7f \u2028 / \\ "',
        "k" * 2000: [1, 2.5, True, None, {}, []],
    }

    assert load(json.dumps(value, indent=indent).encode()).value == value
    assert load(json.dumps(value, indent=indent, ensure_ascii=False).encode()).value == value


def test_values_of_json_have_their_places_too() -> None:
    document = load(b'{\n  "a": [1,\n    {"b": "=x"}]\n}')

    assert document.values[("a", 1, "b")] == Place(3, 11, 1)
    assert document.keys[("a", 1, "b")] == Place(3, 6, 1)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"", "1:1: the document is empty; begin with `workflow: my-name`"),
        (b"# nothing\n", "1:1: the document is empty; begin with `workflow: my-name`"),
        (
            b"a: \xff",
            "1:4: the document is not UTF-8: byte 3 is 0xff; save the file as UTF-8",
        ),
        (b"a: \x07", "1:4: the character U+0007 is not allowed in YAML"),
        (b"a: 1\na: 2", "2:1: a: this key is there twice; the first one is in line 1"),
        (
            b'{"a": 1,\n"a": 2}',
            "2:1: a: this key is there twice; the first one is in line 1",
        ),
        (b"a: &x 1", "1:4: anchors are not accepted: &x; take it away"),
        (b"a: *x", "1:4: aliases are not accepted: *x; write the value out"),
        (
            b"a: !!python/object:os.system 1",
            "1:4: tags are not accepted: 'tag:yaml.org,2002:python/object:os.system'; take it away",
        ),
        (
            b"a: 1\n---\nb: 2",
            "2:1: a second document begins here; put each workflow into its own",
        ),
        (b"? [a]\n: 1", "1:3: a key cannot be a map or a list"),
        (b"a: .inf", "1:4: a: this number is not finite, which JSON cannot say"),
        (b"a: 1e999", "1:4: a: this number is not finite, which JSON cannot say"),
        (
            b"a: 9223372036854775808",
            "1:4: a: this whole number does not fit into 64 bits; write it as a string",
        ),
        (
            b'{"a": "\\ud800"}',
            "1:7: a: this string has half of a surrogate pair in it, which UTF-8 cannot say",
        ),
        (
            b"a:\n\t- 1",
            (
                "2:1: this is not YAML: while scanning for the next token: found character that "
                "cannot start any token; quote the text, or indent with spaces"
            ),
        ),
        (
            b"a: b: c",
            (
                "1:5: this is not YAML: mapping values are not allowed in this context; quote a text "
                "that has `: ` in it"
            ),
        ),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_its_place(source: bytes, problem: str) -> None:
    assert [str(each) for each in load(source).problems] == [problem]


def test_reading_goes_on_after_what_can_be_passed_over() -> None:
    document = load(b"a: &x 1\nb: *x\na: 2\n")

    assert [problem.line for problem in document.problems] == [1, 2, 3]
    assert document.value == {"a": 2, "b": UNSET}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"a" * (MAX_BYTES + 1), f"the limit is {MAX_BYTES}"),
        (b"[" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} deep"),
        (b'{"a":' * 150_000, f"more than {MAX_DEPTH} deep"),
        (b"[" + b"1," * 500_000 + b"]", f"more than {MAX_VALUES} values"),
        (b'{"a":[' + b"1," * 500_000 + b"1]}", f"more than {MAX_VALUES} values"),
        (b"a: [" + b"&a *a," * 160_000, "anchors are not accepted"),
        (b"{" + b'"a":1,' * 150_000 + b'"a":1}', "this key is there twice"),
        (b'{"a":' + b"9" * 1_000_000 + b"}", "does not fit into 64 bits"),
    ],
)
def test_a_document_made_to_hurt_is_refused_soon(source: bytes, message: str) -> None:
    begin = time.process_time()

    document = load(source)

    assert time.process_time() - begin < 3
    assert message in document.problems[0].message
