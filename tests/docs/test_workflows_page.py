"""The examples of docs/workflows.md are what it says they are."""

import re
from pathlib import Path
from typing import Any

import pytest

from stepwell.definitions.compile import check_definition
from stepwell.definitions.format import WORKFLOW
from stepwell.definitions.node_format import KINDS
from stepwell.definitions.problems import render
from stepwell.engine.expressions import Expression

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def table_of(heading: str) -> str:
    return PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("input.cents / 100", 12),
        ("double(input.cents) / 100.0", 12.5),
        ("int(2.7)", 2),
        ("math.round(2.5)", 3.0),
        ("input.cents > 99.5", True),
        ("'sum: ' + string(input.cents)", "sum: 1250"),
    ],
)
def test_numbers_are_what_the_page_says(text: str, value: object) -> None:
    found = Expression(text, ["input"]).evaluate({"input": {"cents": 1250}})

    assert f"`{text}`" in table_of("Numbers")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("source", blocks("yaml"), ids=lambda source: source.split()[1])
def test_an_example_is_valid(source: str) -> None:
    assert check_definition(source.encode()) == ()


def test_the_mistakes_are_told_as_the_page_shows() -> None:
    [source], [shown] = blocks("yaml mistaken"), blocks("text mistakes")

    problems = check_definition(source.encode())

    assert render(problems, "greet.yaml", source.encode()) + "\n" == shown


def test_the_python_examples_build_valid_workflows() -> None:
    names: dict[str, Any] = {}

    exec("\n".join(blocks("python")), names)

    assert check_definition(names["source"]) == ()
    assert check_definition(names["trip"].source()) == ()


def test_every_key_of_the_document_is_explained() -> None:
    assert [key for key in WORKFLOW.keys if f"| `{key}` |" not in PAGE] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_node_and_each_of_its_keys_is_explained(kind: str) -> None:
    keys = KINDS[kind].keys.keys() - KINDS["transform"].keys.keys()

    assert [key for key in keys if f"`{key}" not in table_of(kind)] == []
    assert f"(#{kind})" in PAGE
