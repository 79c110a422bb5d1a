"""Whatever comes in, a definition is compiled or refused with problems, and soon."""

import json
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.definitions.compile import check_definition, compile_definition
from stepwell.definitions.problems import MAX_PROBLEMS, InvalidDefinition, render
from stepwell.engine.graph import Graph

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "workflows").glob("*.yaml"))
VALID = st.sampled_from([path.read_text() for path in EXAMPLES])
TOOLS = {"db_schema", "db_query", "chat.post"}
# fmt: off
PIECES = st.sampled_from([
    "=", "&a ", "*a", "!!str ", "{", "}", "[", "]", ": ", "- ", "\n", "\t", '"', "'", "|\n", "#",
    "ask", "post", "input", "nodes:", "id: x", "=ask.output", "null", "yes", "1e999", "?", "\0",
    "---\n", "<<: ", "do: ", "map: ", "on_error: ", "compensate: ", "item", "last",
    "\u2028", "\x85", "\ufeff", "😀", "with: ", "switch: ", "0", "\\ud800",
])
# fmt: on


def examine(source: bytes) -> Graph | None:
    """Compiles, and holds what is promised of every source."""
    begin = time.process_time()
    problems = check_definition(source, tools=TOOLS)
    assert time.process_time() - begin < 5
    assert len(problems) <= MAX_PROBLEMS + 1
    assert all(problem.line > 0 and problem.column > 0 for problem in problems)
    render(problems, "w.yaml", source).encode()
    try:
        return compile_definition(source)
    except InvalidDefinition:
        return None


@given(st.binary(max_size=400))
def test_random_bytes_are_refused_with_problems(source: bytes) -> None:
    assert examine(source) is None


@given(st.lists(PIECES, max_size=40).map("".join))
def test_random_pieces_of_yaml_are_refused_with_problems(source: str) -> None:
    assert examine(source.encode("utf-8")) is None


@settings(max_examples=300)
@given(VALID, st.floats(0, 1), st.integers(0, 30), st.lists(PIECES, max_size=3).map("".join))
def test_a_document_with_a_change_in_it_is_compiled_or_refused(
    valid: str, where: float, cut: int, piece: str
) -> None:
    at = int(where * len(valid))
    examine((valid[:at] + piece + valid[at + cut :]).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | PIECES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | PIECES, inner, max_size=4)
    ),
    max_leaves=12,
)
# fmt: off
KEYS = st.sampled_from([
    "id", "agent", "tool", "transform", "switch", "with", "if", "needs", "retry", "timeout",
    "idempotent", "workflow", "input", "agents", "nodes", "output", "description", "max",
    "initial", "ceiling", "then", "else", "model", "tools", "limits", "turns", "message", "type",
    "properties", "$ref", "llm", "instructions", "map", "do", "concurrency", "loop", "while",
    "wait", "for", "until", "signal", "approval", "queue", "on_error", "compensate", "version",
])
# fmt: on
SHAPED = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {"workflow": st.just("w") | JSON, "nodes": st.lists(SHAPED, max_size=4) | SHAPED},
        optional={"agents": SHAPED, "input": SHAPED, "output": SHAPED},
    )
)
def test_any_json_is_compiled_or_refused(document: dict[str, object]) -> None:
    examine(json.dumps(document).encode())


# fmt: off
WORDS = st.sampled_from([
    "ask.output", "input", "run.id", ".", "(", ")", "[", "]", "'a'", '"', "+", "==", "?", ":",
    "1", " ", "map(", "x", ",", "ask", "has(", "!", "&&", "{", "}", "`", "cel.bind(", "//", "\n",
    "é", "item", "index", "last", "output",
])
# fmt: on


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=12).map("".join))
def test_any_expression_is_compiled_or_refused(text: str) -> None:
    document = {
        "workflow": "w",
        "nodes": [
            {"id": "ask", "transform": 1},
            {"id": "b", "transform": {"x": f"={text}"}, "if": f"={text}"},
            {
                "id": "c",
                "loop": {"while": f"={text}", "max": 2},
                "do": {
                    "tool": "db_query",
                    "with": {"x": f"={text}"},
                    "compensate": {"tool": "db_query", "with": {"x": f"={text}"}},
                },
            },
        ],
    }
    examine(json.dumps(document).encode())
