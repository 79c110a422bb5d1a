"""What the nodes that wait, repeat, call and recover become."""

from typing import Any

import pytest

from stepwell.definitions.compile import compile_definition
from stepwell.engine.expressions import Template
from stepwell.engine.graph import (
    Agent,
    AgentNode,
    ApprovalNode,
    Graph,
    LoopNode,
    MapNode,
    Node,
    Retry,
    SignalNode,
    ToolNode,
    WaitNode,
    WorkflowNode,
)


def graph(nodes: str, *, head: str = "") -> Graph:
    return compile_definition(f"workflow: w\n{head}\nnodes:\n{nodes}\n".encode())


def node(text: str, *, head: str = "") -> Node:
    return graph(f"  - {text}", head=head).nodes["n"]


def rendered(template: Template | None, **bindings: Any) -> Any:
    assert template is not None
    return template.render(bindings)


INPUT = "input: {type: object, additionalProperties: true}"

# --- one model call, another workflow ---------------------------------------------------------


def test_an_llm_node_is_an_agent_with_one_turn_and_nothing_to_call() -> None:
    made = node(
        '{id: n, llm: small, instructions: Be short., with: {message: "=input.text"},\n'
        "     output: {type: object, properties: {sum: {type: string}}}, timeout: 1m}",
        head=INPUT,
    )

    assert isinstance(made, AgentNode)
    assert made.agent == Agent(
        name="n",
        model="small",
        instructions="Be short.",
        output={"type": "object", "properties": {"sum": {"type": "string"}}},
        turns=1,
        repairs=0,
    )
    assert rendered(made.parameters, input={"text": "hi"}) == {"message": "hi"}
    assert (made.retry, made.timeout) == (Retry(max=2), 60_000_000)


def test_the_answer_of_an_llm_node_is_known_before_the_run() -> None:
    graph(
        "  - {id: n, llm: small, with: {message: hi}}\n"
        '  - {id: m, transform: "=n.output.upperAscii()"}'
    )


def test_a_workflow_node_has_its_input_and_its_version() -> None:
    version = "sha256:" + "0" * 64
    made = node(
        f'{{id: n, workflow: other, with: {{x: "=input.x"}}, version: "{version}",\n'
        "     timeout: 1h, retry: {max: 1}, queue: nightly}",
        head=INPUT,
    )

    assert isinstance(made, WorkflowNode)
    assert rendered(made.parameters, input={"x": [1]}) == {"x": [1]}
    assert (made.workflow, made.version, made.queue) == ("other", version, "nightly")
    assert (made.timeout, made.retry.max) == (3_600_000_000, 1)


def test_a_workflow_node_runs_the_newest_version_once_unless_it_says_otherwise() -> None:
    made = node("{id: n, workflow: other}")

    assert isinstance(made, WorkflowNode)
    assert (made.version, made.retry, rendered(made.parameters)) == ("", Retry(), {})


# --- waiting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["30s", "{for: 30s}"])
def test_a_wait_for_a_length_keeps_it_as_it_was_written(written: str) -> None:
    made = node(f"{{id: n, wait: {written}}}")

    assert isinstance(made, WaitNode)
    assert (rendered(made.length), made.until) == ("30s", None)


def test_a_wait_needs_what_its_expression_refers_to() -> None:
    made = graph(
        '  - {id: n, wait: {until: "=when.output"}}\n  - {id: when, transform: soon}'
    ).nodes["n"]

    assert isinstance(made, WaitNode)
    assert rendered(made.until, when={"output": "soon"}) == "soon"
    assert (made.length, made.needs) == (None, ("when",))


@pytest.mark.parametrize("length", ["500ms", "1h30m", "10s", "1.5h", "3650d"])
def test_a_wait_takes_every_duration_up_to_ten_years(length: str) -> None:
    assert isinstance(node(f"{{id: n, wait: {length}}}"), WaitNode)


@pytest.mark.parametrize("time", ["2026-03-01T09:30:00Z", "2026-03-01T09:30:00.5+02:00"])
def test_a_wait_takes_every_point_in_time_that_says_its_offset(time: str) -> None:
    assert isinstance(node(f'{{id: n, wait: {{until: "{time}"}}}}'), WaitNode)


def test_a_signal_node_has_the_name_of_its_message() -> None:
    made = node("{id: n, signal: approved-by.ci, timeout: 1d}")

    assert isinstance(made, SignalNode)
    assert (made.signal, made.timeout) == ("approved-by.ci", 86_400_000_000)


def test_an_approval_shows_what_its_template_gives() -> None:
    made = graph(
        "  - {id: n, approval: {text: \"='Refund ' + string(sum.output)\"}, timeout: 3d}\n"
        "  - {id: sum, transform: 5}\n"
        '  - {id: done, transform: "=n.output.value", if: "=n.output.approved"}'
    ).nodes["n"]

    assert isinstance(made, ApprovalNode)
    assert rendered(made.message, sum={"output": 5}) == {"text": "Refund 5"}
    assert made.needs == ("sum",)


# --- maps and loops ---------------------------------------------------------------------------


def test_a_map_does_the_same_with_every_item() -> None:
    made = graph(
        "  - id: n\n"
        '    map: "=urls.output"\n'
        "    concurrency: 20\n"
        "    do:\n"
        '      tool: fetch\n      with: {url: "=item.url", n: "=index + 1", of: "=other.output"}\n'
        "      retry: {max: 3}\n      timeout: 30s\n      on_error: continue\n      queue: web\n"
        "  - {id: urls, transform: [{url: a}]}\n"
        "  - {id: other, transform: 5}"
    ).nodes["n"]

    assert isinstance(made, MapNode)
    assert isinstance(made.body, ToolNode)
    assert rendered(made.items, urls={"output": [1]}) == [1]
    seen = {"item": {"url": "a"}, "index": 0, "other": {"output": 5}}
    assert rendered(made.body.parameters, **seen) == {"url": "a", "n": 1, "of": 5}
    assert (made.id, made.body.id, made.concurrency) == ("n", "n", 20)
    assert (made.on_error, made.body.on_error, made.body.queue) == ("fail", "continue", "web")
    assert (made.body.retry.max, made.body.timeout) == (3, 30_000_000)
    assert set(made.needs) == {"urls", "other"}


def test_a_map_may_have_its_list_in_the_document() -> None:
    made = node('{id: n, map: [1, "=input.x"], do: {tool: t, with: {a: "=item"}}}', head=INPUT)

    assert isinstance(made, MapNode)
    assert rendered(made.items, input={"x": "b"}) == [1, "b"]
    assert made.concurrency == 100


def test_a_loop_sees_what_it_gave_the_time_before() -> None:
    made = node(
        '{id: n, loop: {while: "=last == null || last.more", max: 20}, timeout: 1h,\n'
        '     do: {tool: page, with: {cursor: "=last == null ? \'\' : last.cursor", n: "=index"}}}'
    )

    assert isinstance(made, LoopNode)
    assert isinstance(made.body, ToolNode)
    assert (made.max, made.timeout, made.needs) == (20, 3_600_000_000, ())
    assert made.again.holds({"last": None})
    assert not made.again.holds({"last": {"more": False}})
    first = rendered(made.body.parameters, last=None, index=0)
    assert first == {"cursor": "", "n": 0}


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        ("{agent: poet, with: {message: hi}}", AgentNode),
        ("{tool: t}", ToolNode),
        ("{llm: small, with: {message: hi}}", AgentNode),
        ("{workflow: other}", WorkflowNode),
        ("{wait: 1s}", WaitNode),
        ("{signal: go}", SignalNode),
        ("{approval: ok?}", ApprovalNode),
    ],
)
def test_whatever_a_step_can_do_may_be_repeated(do: str, kind: type[Node]) -> None:
    compiled = graph(
        f"  - {{id: a, map: [1], do: {do}}}\n"
        f'  - {{id: b, loop: {{while: "=true", max: 2}}, do: {do}}}\n'
        "  - {id: c, agent: poet, with: {message: hi}}",
        head="agents: {poet: {model: small}}",
    )

    a, b = compiled.nodes["a"], compiled.nodes["b"]
    assert isinstance(a, MapNode)
    assert isinstance(b, LoopNode)
    assert (type(a.body), type(b.body)) == (kind, kind)


def test_an_agent_that_is_only_used_in_a_map_is_used() -> None:
    compiled = graph(
        '  - {id: n, map: [1], do: {agent: poet, with: {message: "=item"}}}',
        head="agents: {poet: {model: small, tools: [rhyme]}}",
    )

    assert compiled.tools == {"rhyme"}


# --- failures ---------------------------------------------------------------------------------


def test_a_node_that_takes_over_needs_the_one_that_fails() -> None:
    compiled = graph(
        "  - {id: charge, tool: charge, on_error: apologize}\n"
        '  - {id: apologize, tool: mail, with: {why: "=charge.error.message"}}\n'
        "  - {id: report, tool: log, on_error: continue}\n"
        "  - {id: late, transform: 1, needs: [note]}\n"
        "  - {id: each, map: [1], do: {tool: t}, on_error: note}\n"
        "  - {id: note, transform: 1}"
    )

    assert compiled.nodes["charge"].on_error == "apologize"
    assert compiled.nodes["apologize"].needs == ("charge",)
    assert compiled.nodes["report"].on_error == "continue"
    assert compiled.nodes["each"].on_error == "note"
    assert compiled.nodes["note"].needs == ("each",)


def test_what_undoes_a_step_is_a_tool_call_that_sees_its_output() -> None:
    compiled = graph(
        "  - id: charge\n    tool: charge\n    idempotent: false\n"
        "    compensate:\n"
        '      {tool: refund, with: {id: "=output.id", who: "=who.output"}, timeout: 1m,\n'
        "       idempotent: true}\n"
        "  - {id: who, transform: ada}"
    )

    charge = compiled.nodes["charge"]
    undo = charge.compensate
    assert undo is not None
    assert (undo.id, undo.tool, undo.idempotent) == ("charge.undo", "refund", True)
    assert (undo.retry, undo.timeout) == (Retry(max=3), 60_000_000)
    seen = {"output": {"id": 7}, "who": {"output": "ada"}}
    assert rendered(undo.parameters, **seen) == {"id": 7, "who": "ada"}
    assert charge.needs == ("who",)
    assert compiled.tools == {"charge", "refund"}


def test_what_undoes_a_step_of_a_map_sees_its_item_as_well() -> None:
    compiled = graph(
        "  - id: n\n    map: [{sku: a}]\n    do:\n      tool: reserve\n"
        "      compensate:\n        tool: release\n        retry: {max: 5}\n"
        '        with: {sku: "=item.sku", n: "=index", id: "=output"}'
    )

    made = compiled.nodes["n"]
    assert isinstance(made, MapNode)
    undo = made.body.compensate
    assert undo is not None
    assert (undo.id, undo.retry.max, made.compensate) == ("n.undo", 5, None)
    seen = {"item": {"sku": "a"}, "index": 0, "output": 7}
    assert rendered(undo.parameters, **seen) == {"sku": "a", "n": 0, "id": 7}
    assert compiled.tools == {"reserve", "release"}


# --- queues -----------------------------------------------------------------------------------


def test_a_workflow_and_a_step_may_have_a_queue_each() -> None:
    compiled = graph(
        "  - {id: n, tool: t, queue: web}\n  - {id: m, tool: t}", head="queue: nightly"
    )

    assert compiled.queue == "nightly"
    assert (compiled.nodes["n"].queue, compiled.nodes["m"].queue) == ("web", "")
    assert graph("  - {id: n, tool: t}").queue == ""
