"""What a valid definition becomes."""

from pathlib import Path

import pytest

from stepwell.definitions.builtin import CALL, CALL_DOCUMENT
from stepwell.definitions.compile import NO_INPUT, check_definition, compile_definition
from stepwell.definitions.version import version_of
from stepwell.engine.graph import AgentNode, Graph, Retry, SwitchNode, ToolNode, TransformNode

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "workflows").glob("*.yaml"))


def graph(nodes: str, *, head: str = "", tail: str = "") -> Graph:
    return compile_definition(f"workflow: w\n{head}\nnodes:\n{nodes}\n{tail}".encode())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    assert check_definition(path.read_bytes()) == ()


def test_a_tool_node_has_what_the_document_says() -> None:
    compiled = graph(
        '  - {id: t, tool: chat.post, with: {text: "=input.text", to: ops}, timeout: 1500ms,\n'
        "     retry: {max: 3, initial: 2s, multiplier: 1.5, ceiling: 1m}, idempotent: true}",
        head="input: {type: object, properties: {text: {type: string}}}",
    )

    node = compiled.nodes["t"]
    assert isinstance(node, ToolNode)
    assert node.parameters is not None
    assert node.parameters.render({"input": {"text": "hi"}}) == {"text": "hi", "to": "ops"}
    assert (node.tool, node.idempotent, node.timeout) == ("chat.post", True, 1_500_000)
    assert node.retry == Retry(max=3, initial=2_000_000, multiplier=1.5, ceiling=60_000_000)
    assert compiled.tools == {"chat.post"}


def test_what_is_not_said_has_a_default() -> None:
    compiled = graph(
        "  - {id: t, tool: a}\n  - {id: ask, agent: poet, with: {message: hi}}",
        head="agents: {poet: {model: small}}",
    )

    tool, ask = compiled.nodes["t"], compiled.nodes["ask"]
    assert isinstance(tool, ToolNode)
    assert isinstance(ask, AgentNode)
    assert tool.parameters is not None
    assert tool.parameters.render({}) == {}
    assert (tool.retry, tool.timeout, tool.idempotent) == (Retry(max=0), None, None)
    assert (ask.retry, ask.agent.turns, ask.agent.repairs) == (Retry(max=2), 20, 2)
    assert compiled.input_schema == NO_INPUT


def test_an_agent_without_repairs_or_retries_has_none() -> None:
    compiled = graph(
        "  - {id: ask, agent: poet, with: {message: hi}, retry: {max: 0}}",
        head="agents: {poet: {model: small, limits: {repairs: 0}}}",
    )

    ask = compiled.nodes["ask"]
    assert isinstance(ask, AgentNode)
    assert (ask.retry.max, ask.agent.repairs) == (0, 0)


@pytest.mark.parametrize(
    ("length", "microseconds"),
    [("500ms", 500_000), ("1.5s", 1_500_000), ("1h30m", 5_400_000_000), ("3d", 259_200_000_000)],
)
def test_a_duration_is_written_as_it_is_everywhere(length: str, microseconds: int) -> None:
    compiled = graph(f"  - {{id: t, tool: a, timeout: {length}}}")

    assert compiled.nodes["t"].timeout == microseconds


def test_a_first_wait_above_the_usual_ceiling_raises_the_ceiling() -> None:
    compiled = graph("  - {id: t, tool: a, retry: {max: 1, initial: 5m}}")

    assert compiled.nodes["t"].retry.ceiling == 300_000_000


def test_a_node_needs_what_it_names_what_it_refers_to_and_its_switch() -> None:
    compiled = graph(
        "  - {id: end, transform: \"='x' + a.output\", if: \"=b.output == 'b'\", needs: [c]}\n"
        '  - {id: route, switch: [{if: "=d.output", then: end}]}\n'
        "  - {id: a, transform: x}\n  - {id: b, transform: x}\n"
        "  - {id: c, transform: x}\n  - {id: d, transform: true}"
    )

    assert compiled.nodes["end"].needs == ("c", "a", "b", "route")
    assert compiled.nodes["route"].needs == ("d",)
    assert compiled.dependents["a"] == ("end",)
    assert compiled.dependents["end"] == ()
    order = list(compiled.nodes)
    assert all(
        order.index(need) < order.index(id) for id in order for need in compiled.nodes[id].needs
    )


def test_a_workflow_is_published_unless_it_says_otherwise() -> None:
    source = "workflow: w\n{}nodes: [{{id: a, transform: 1}}]"

    assert compile_definition(source.format("").encode()).published
    assert not compile_definition(source.format("publish: false\n").encode()).published


def test_a_switch_keeps_the_order_of_its_cases() -> None:
    compiled = graph(
        '  - {id: s, switch: [{if: "=false", then: a}, {if: "=run.id != \'\'", then: b}, {else: c}]}\n'
        "  - {id: a, transform: 1}\n  - {id: b, transform: 1}\n  - {id: c, transform: 1}"
    )

    switch = compiled.nodes["s"]
    assert isinstance(switch, SwitchNode)
    assert [(case.target, case.condition is None) for case in switch.cases] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]


def test_without_an_output_the_run_gives_what_the_last_nodes_gave() -> None:
    compiled = graph(
        '  - {id: a, transform: 1}\n  - {id: b, transform: "=a.output"}\n  - {id: c, transform: 3}'
    )

    assert compiled.output is not None
    bindings = {"b": {"output": 1}, "c": {"output": 3}}
    assert compiled.output.render(bindings) == {"b": 1, "c": 3}


def test_an_output_may_be_null_on_purpose() -> None:
    compiled = graph("  - {id: a, transform: 1}", tail="output: null")

    assert compiled.output is not None
    assert compiled.output.render({}) is None


def test_only_strings_that_begin_with_an_equals_sign_are_expressions() -> None:
    compiled = graph(
        "  - id: a\n    transform: {sum: '=1 + 1', text: 'a = b', list: ['=\"=\" + \"x\"', 3]}"
    )

    node = compiled.nodes["a"]
    assert isinstance(node, TransformNode)
    assert node.value.render({}) == {"sum": 2, "text": "a = b", "list": ["=x", 3]}


def test_members_that_a_schema_leaves_open_are_not_checked() -> None:
    graph(
        '  - {id: a, transform: ["=input.x", "=input.deep.anything"]}',
        head="input: {type: object, properties: {deep: {type: object}}, additionalProperties: true}",
    )


def test_a_version_is_named_by_what_the_document_says() -> None:
    plain = compile_definition(b"workflow: w\nnodes: [{id: a, transform: {x: 1, y: two}}]")
    other_layout = compile_definition(
        b"# a comment\nnodes:\n- transform:\n    y: 'two'\n    x: 1\n  id: a\nworkflow: w\n"
    )
    as_json = compile_definition(
        b'{"workflow":"w","nodes":[{"id":"a","transform":{"x":1,"y":"two"}}]}'
    )
    different = compile_definition(b"workflow: w\nnodes: [{id: a, transform: {x: 1, y: three}}]")

    assert plain.version == other_layout.version == as_json.version != different.version
    assert plain.version.startswith("sha256:")
    assert len(plain.version) == 71


def test_the_built_in_call_hands_the_tool_and_its_arguments_on() -> None:
    node = CALL.nodes["call"]
    assert isinstance(node, ToolNode)
    assert node.parameters is not None
    given = {"tool": "chat.post", "arguments": {"text": "hi", "n": 1}}

    assert node.parameters.render({"input": given}) == given
    assert CALL.version == version_of(CALL_DOCUMENT)
    assert CALL.output is not None
    assert CALL.output.render({"call": {"output": [1]}}) == [1]


def test_a_thousand_nodes_compile() -> None:
    nodes = "\n".join(
        f'  - {{id: n{i}, transform: "={f"n{i - 1}.output + 1" if i else "0"}"}}'
        for i in range(1000)
    )

    assert list(graph(nodes).nodes) == [f"n{i}" for i in range(1000)]
