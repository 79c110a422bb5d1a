"""Every mistake is told with its place, what is wrong, and what would be right."""

import pytest

from stepwell.definitions.compile import check_definition, compile_definition
from stepwell.definitions.problems import MAX_PROBLEMS, InvalidDefinition, render
from stepwell.errors import Code

HEAD = """\
workflow: w
input: {type: object, properties: {question: {type: string}, deep: {type: object}}}
agents:
  poet: {model: small}
  judge:
    model: small
    tools: [score]
    output: {type: object, properties: {total: {type: number}, notes: {type: array}}}
nodes:
  - {id: ask, agent: poet, with: {message: "=input.question"}}
  - {id: rate, agent: judge, with: {message: "=ask.output", level: high}}
"""
TOOLS = {"score", "chat.post"}
KINDS = "agent, tool, llm, workflow, wait, signal, approval, transform, switch, map, loop"


def complaints(source: str) -> list[str]:
    return [str(problem) for problem in check_definition(source.encode(), tools=TOOLS)]


def test_the_head_of_these_examples_is_valid() -> None:
    assert complaints(HEAD) == []


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        # keys and kinds
        (
            "{id: n, tol: chat.post}",
            "12:13: nodes[2].tol: the key 'tol' is not known here; did you mean `tool`?",
        ),
        (
            "{id: n, tool: chat.post, wiht: {}}",
            "12:30: nodes[2].wiht: the key 'wiht' is not known here; did you mean `with`?",
        ),
        (
            "{id: n, transform: 1, idempotent: true}",
            (
                "12:27: nodes[2].idempotent: the key 'idempotent' is not known here; "
                "it belongs to a tool node"
            ),
        ),
        (
            "{id: n, transform: 1, timeout: 1s}",
            (
                "12:27: nodes[2].timeout: the key 'timeout' is not known here; "
                "a transform node has id, if, needs, transform"
            ),
        ),
        (
            "{id: n, tool: chat.post, transform: 1}",
            (f"12:5: nodes[2]: a node has exactly one of {KINDS}, this has `tool` and `transform`"),
        ),
        (
            "{id: n}",
            f"12:5: nodes[2]: nothing says what this is: a node has one of {KINDS}",
        ),
        (
            "{id: n, memory: {}}",
            (f"12:13: nodes[2].memory: nodes of the kind `memory` come later; use one of {KINDS}"),
        ),
        (
            "chat.post",
            "12:5: nodes[2]: this must be a node, which is a map, it is the string 'chat.post'",
        ),
        # ids
        ("{transform: 1}", "12:5: nodes[2]: `id` is missing; a transform node needs it"),
        (
            "{id: My-Node, transform: 1}",
            (
                "12:10: nodes[2].id: this must be an id: small letters, digits and _, a letter "
                "first, at most 63, it is the string 'My-Node'"
            ),
        ),
        (
            "{id: input, transform: 1}",
            "12:10: nodes[2].id: the name 'input' is reserved; choose another one",
        ),
        (
            "{id: while, transform: 1}",
            "12:10: nodes[2].id: the name 'while' is reserved; choose another one",
        ),
        (
            "{id: ask, transform: 1}",
            "12:10: nodes[2].id: the id `ask` is taken by the node in line 10",
        ),
        # names
        (
            "{id: n, agent: poot, with: {message: x}}",
            "12:20: nodes[2].agent: there is no agent `poot`; did you mean `poet`?",
        ),
        (
            "{id: n, tool: chat.pots}",
            "12:19: nodes[2].tool: there is no tool `chat.pots`; did you mean `chat.post`?",
        ),
        (
            "{id: n, transform: 1, needs: [aks]}",
            "12:35: nodes[2].needs[0]: there is no node `aks`; did you mean `ask`?",
        ),
        (
            "{id: n, transform: 1, needs: [ask, ask]}",
            "12:40: nodes[2].needs[1]: 'ask' is in the list twice",
        ),
        # values
        (
            "{id: n, tool: 5}",
            (
                "12:19: nodes[2].tool: this must be the name of a tool: letters, digits, _ . - and /, "
                'at most 128, it is the number 5; write "5"'
            ),
        ),
        (
            '{id: n, tool: "=input.question"}',
            "12:19: nodes[2].tool: this cannot be an expression; write what it shall be, literally",
        ),
        (
            "{id: n, tool: chat.post, timeout: 30}",
            (
                "12:39: nodes[2].timeout: this must be a duration such as 500ms, 30s, 5m, 1h30m or 3d, "
                "it is the number 30; write 30s"
            ),
        ),
        (
            "{id: n, tool: chat.post, timeout: 0s}",
            (
                "12:39: nodes[2].timeout: this must be longer than nothing and at most 365d, "
                "it is the string '0s'"
            ),
        ),
        (
            "{id: n, tool: chat.post, idempotent: yes}",
            (
                "12:42: nodes[2].idempotent: this must be true or false, it is the string 'yes'; "
                "write true"
            ),
        ),
        (
            "{id: n, tool: chat.post, retry: {initial: 1s}}",
            "12:37: nodes[2].retry: `max` is missing; `retry` needs it",
        ),
        (
            "{id: n, tool: chat.post, retry: {max: -1}}",
            (
                "12:43: nodes[2].retry.max: this must be a whole number from 0 to 100, "
                "it is the number -1"
            ),
        ),
        (
            "{id: n, tool: chat.post, retry: {max: 1, initial: 2s, ceiling: 1s}}",
            "12:68: nodes[2].retry.ceiling: the ceiling is lower than the first wait; raise it",
        ),
        # what an agent is asked
        (
            "{id: n, agent: poet}",
            "12:5: nodes[2]: `with` is missing; an agent node needs it",
        ),
        (
            "{id: n, agent: judge, with: {level: 1}}",
            "12:33: nodes[2].with: `message` is missing; it is what the agent is asked",
        ),
        (
            "{id: n, agent: poet, with: {message: x, topic: y}}",
            (
                "12:45: nodes[2].with.topic: there is no argument to bind `topic` to: the agent "
                "`poet` has no tools; put it into `message`, or give the agent the tool"
            ),
        ),
        # expressions
        (
            '{id: n, transform: 1, if: "ask.output"}',
            (
                "12:31: nodes[2].if: this must be a condition: a string that begins with =, "
                "it is the string 'ask.output'; write \"=ask.output\""
            ),
        ),
        (
            "{id: n, transform: 1, if: \"='yes'\"}",
            "12:31: nodes[2].if: a condition must be a bool, this is string",
        ),
        (
            '{id: n, transform: "="}',
            "12:24: nodes[2].transform: there is no expression after the =",
        ),
        (
            "{id: n, transform: \"=1 + 'a'\"}",
            (
                "12:28: nodes[2].transform: found no matching overload for '_+_' applied to "
                "'(int, string)'\n | 1 + 'a'\n | ..^"
            ),
        ),
        (
            '{id: n, transform: ["é", "=\'é\' + "]}',
            (
                "12:38: nodes[2].transform[1]: Syntax error: mismatched input '<EOF>'"
                "\n | 'é' + \n | .\uff0e....^"
            ),
        ),
        (
            '{id: n, transform: "=aks.output"}',
            "12:26: nodes[2].transform: there is no node `aks`; did you mean `ask`?",
        ),
        (
            '{id: n, transform: "=frobnicate(1)"}',
            "12:26: nodes[2].transform: there is no function `frobnicate`",
        ),
        (
            '{id: n, transform: "=ask.outptu"}',
            "12:30: nodes[2].transform: `ask` has no `outptu`; did you mean `output`?",
        ),
        (
            '{id: n, transform: "=ask.output.text"}',
            "12:37: nodes[2].transform: `ask.output` has no `text`",
        ),
        (
            '{id: n, transform: "=rate.output.totl > 1"}',
            "12:38: nodes[2].transform: `rate.output` has no `totl`; did you mean `total`?",
        ),
        (
            '{id: n, transform: "=input.quesion"}',
            "12:32: nodes[2].transform: `input` has no `quesion`; did you mean `question`?",
        ),
        (
            '{id: n, transform: "=run.nmae"}',
            "12:30: nodes[2].transform: `run` has no `nmae`; it has id, workflow",
        ),
        (
            f'{{id: n, transform: "={"1+" * 2048}1"}}',
            "12:24: nodes[2].transform: the expression has 4097 characters, the limit is 4096",
        ),
        # one model call, other workflows
        (
            "{id: n, llm: small, with: {message: hi, topic: y}}",
            (
                "12:45: nodes[2].with.topic: there is no argument to bind `topic` to: an llm node "
                "has no tools; put it into `message`, or let an agent do it"
            ),
        ),
        (
            "{id: n, llm: small, with: {}}",
            "12:31: nodes[2].with: `message` is missing; it is what the model is asked",
        ),
        (
            "{id: n, workflow: call}",
            (
                "12:23: nodes[2].workflow: the name 'call' is reserved; "
                "call the tool with a tool node"
            ),
        ),
        (
            "{id: n, workflow: other, version: latest}",
            (
                "12:39: nodes[2].version: this must be a version: sha256: and 64 digits of base "
                "16, it is the string 'latest'"
            ),
        ),
        # waiting
        (
            "{id: n, wait: 30}",
            (
                "12:19: nodes[2].wait: this must be a duration such as 500ms, 30s, 5m, 1h30m or "
                "3d, it is the number 30; write 30s"
            ),
        ),
        (
            "{id: n, wait: {for: 3651d}}",
            (
                "12:25: nodes[2].wait.for: this must be longer than nothing and at most 3650d, "
                "it is the string '3651d'"
            ),
        ),
        (
            '{id: n, wait: "=input.deep.delay"}',
            (
                "12:19: nodes[2].wait: this does not say whether it is a length or a point in "
                "time; write wait: { for: ... } or wait: { until: ... } around it"
            ),
        ),
        (
            '{id: n, wait: {until: "2026-02-30T00:00:00Z"}}',
            (
                "12:27: nodes[2].wait.until: this must be a point in time such as "
                "2026-03-01T09:30:00Z, it is the string '2026-02-30T00:00:00Z'"
            ),
        ),
        (
            "{id: n, wait: {for: 5s, until: x}}",
            (
                "12:19: nodes[2].wait: `wait` has exactly one of for, until, "
                "this has `for` and `until`"
            ),
        ),
        (
            "{id: n, signal: Go}",
            (
                "12:21: nodes[2].signal: this must be the name of a signal: small letters, "
                "digits, _ . and -, a letter first, at most 64, it is the string 'Go'"
            ),
        ),
        (
            "{id: n, approval: ''}",
            (
                "12:23: nodes[2].approval: this must be text for the person who decides, "
                "it is the string ''"
            ),
        ),
        # maps and loops
        (
            "{id: n, map: 5, do: {tool: score}}",
            "12:18: nodes[2].map: this must be a list, it is the number 5",
        ),
        (
            "{id: n, map: [1]}",
            "12:5: nodes[2]: `do` is missing; a map node needs it",
        ),
        (
            "{id: n, map: [1], do: {tool: score}, concurrency: 100001}",
            (
                "12:55: nodes[2].concurrency: this must be a whole number from 1 to 100000, "
                "it is the number 100001"
            ),
        ),
        (
            "{id: n, map: [1], do: {tool: score}, retry: {max: 1}}",
            (
                "12:42: nodes[2].retry: the key 'retry' is not known here; "
                "write it in `do`, it is about each step"
            ),
        ),
        (
            "{id: n, map: [1], do: {}}",
            (
                "12:27: nodes[2].do: nothing says what this is: "
                "`do` has one of agent, tool, llm, workflow, wait, signal, approval"
            ),
        ),
        (
            "{id: n, map: [1], do: {tool: score, id: x}}",
            (
                "12:41: nodes[2].do.id: the key 'id' is not known here; "
                "its steps go by the id beside `do`"
            ),
        ),
        (
            "{id: n, map: [1], do: {tool: score, needs: [ask]}}",
            ("12:41: nodes[2].do.needs: the key 'needs' is not known here; write it beside `do`"),
        ),
        (
            '{id: n, map: [1], do: {tool: score, if: "=true"}}',
            (
                "12:41: nodes[2].do.if: the key 'if' is not known here; write it beside `do`, for "
                "all of them; or filter the list of the map, or let `while` end the loop"
            ),
        ),
        (
            "{id: n, map: [1], do: {transform: 1}}",
            (
                "12:28: nodes[2].do.transform: nothing is to be done step by step about a "
                "transform; write it as a node, CEL goes through lists: "
                '"=input.items.map(x, x.name)"'
            ),
        ),
        (
            "{id: n, map: [1], do: {loop: {}}}",
            (
                "12:28: nodes[2].do.loop: `do` cannot be a loop; put these nodes into a workflow "
                "of their own, and write do: { workflow: NAME }"
            ),
        ),
        (
            "{id: n, map: [1], do: {tool: score, on_error: ask}}",
            (
                "12:51: nodes[2].do.on_error: this must be fail or continue, it is the string "
                "'ask'; a node that takes over belongs beside `do`: it is for the whole"
            ),
        ),
        (
            '{id: n, map: [1], do: {tool: score, with: {a: "=itm.x"}}}',
            "12:53: nodes[2].do.with.a: there is no node `itm`; did you mean `item`?",
        ),
        (
            '{id: n, map: [1], do: {tool: score, with: {a: "=index.x"}}}',
            "12:59: nodes[2].do.with.a: `index` has no `x`",
        ),
        (
            '{id: n, map: [1], do: {tool: score, with: {a: "=last"}}}',
            (
                "12:53: nodes[2].do.with.a: there is no `last` here; it is what a loop gave the "
                "time before, in its `do` and its `while`"
            ),
        ),
        (
            '{id: n, map: [1], do: {tool: score, with: {a: "=n.output"}}}',
            (
                "12:53: nodes[2].do.with.a: `n` has not ended here; "
                "each step of a map sees its `item` and `index`"
            ),
        ),
        (
            "{id: n, loop: 5, do: {tool: score}}",
            (
                "12:19: nodes[2].loop: this must be `loop`, which is a map, it is the number 5; "
                'write loop: { while: "=last == null || last.more", max: 20 }'
            ),
        ),
        (
            '{id: n, loop: {while: "=true"}, do: {tool: score}}',
            "12:19: nodes[2].loop: `max` is missing; `loop` needs it",
        ),
        (
            '{id: n, loop: {while: "=n.output.more", max: 3}, do: {tool: score}}',
            (
                "12:29: nodes[2].loop.while: `n` has not ended here; "
                "what a loop gave the time before is `last`"
            ),
        ),
        (
            '{id: n, loop: {while: "=!last.aproved", max: 3}, do: {approval: ok?}}',
            "12:35: nodes[2].loop.while: `last` has no `aproved`; did you mean `approved`?",
        ),
        (
            '{id: n, transform: "=item"}',
            (
                "12:26: nodes[2].transform: there is no `item` here; "
                "it is an item of a map, in its `do`"
            ),
        ),
        (
            "{id: index, transform: 1}",
            "12:10: nodes[2].id: the name 'index' is reserved; choose another one",
        ),
        # failures
        (
            "{id: n, tool: score, on_error: contineu}",
            "12:36: nodes[2].on_error: there is no node `contineu`; did you mean `continue`?",
        ),
        (
            "{id: n, tool: score, on_error: n}",
            (
                "12:36: nodes[2].on_error: a node cannot take over from itself; "
                "say fail, continue or the id of another node"
            ),
        ),
        (
            '{id: n, transform: "=ask.error.mesage"}',
            "12:36: nodes[2].transform: `ask.error` has no `mesage`; did you mean `message`?",
        ),
        (
            "{id: n, tool: score, compensate: score}",
            (
                "12:38: nodes[2].compensate: this must be `compensate`, which is a map, it is the "
                "string 'score'; write compensate: { tool: refund, with: { id: \"=output.id\" } }"
            ),
        ),
        (
            "{id: n, tool: score, compensate: {tool: scor}}",
            "12:45: nodes[2].compensate.tool: there is no tool `scor`; did you mean `score`?",
        ),
        (
            '{id: n, tool: score, compensate: {tool: score, with: {a: "=n.output"}}}',
            (
                "12:64: nodes[2].compensate.with.a: `n` has not ended here; "
                "what its step gave is `output`"
            ),
        ),
        (
            (
                "{id: n, agent: judge, with: {message: x}, "
                'compensate: {tool: score, with: {a: "=output.totl"}}}'
            ),
            ("12:92: nodes[2].compensate.with.a: `output` has no `totl`; did you mean `total`?"),
        ),
        (
            "{id: n, tool: score, queue: Big}",
            (
                "12:33: nodes[2].queue: this must be the name of a queue: small letters, digits, "
                "_ and -, a letter first, at most 63, it is the string 'Big'"
            ),
        ),
        # order
        (
            '{id: n, transform: "=n.output"}',
            (
                "12:10: nodes[2].id: `n` needs itself; an expression that refers to a node, a "
                "switch with a target, and `on_error` with a node count as needs"
            ),
        ),
        # switches
        (
            "{id: n, switch: []}",
            "12:21: nodes[2].switch: this list must have from 1 to 1000 items, it has 0",
        ),
        (
            "{id: n, switch: [{else: ask}]}",
            "12:21: nodes[2].switch: a switch has at least one case with `if` and `then`",
        ),
        (
            '{id: n, switch: [{if: "=true", then: aks}]}',
            "12:42: nodes[2].switch[0].then: there is no node `aks`; did you mean `ask`?",
        ),
        (
            '{id: n, switch: [{else: ask}, {if: "=true", then: rate}]}',
            "12:23: nodes[2].switch[0].else: `else` is not the last case; put it at the end, once",
        ),
        (
            "{id: n, switch: [{then: ask}]}",
            "12:22: nodes[2].switch[0]: `if` is missing; a case with `then` needs it",
        ),
    ],
)
def test_a_mistake_in_a_node_is_told_at_its_place(node: str, complaint: str) -> None:
    assert complaints(f"{HEAD}  - {node}\n") == [complaint]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            "[1]",
            "1:1: this must be a workflow, which is a map, it is a list",
        ),
        (
            "workflow: call\nnodes: [{id: a, transform: 1}]",
            "1:11: workflow: the name 'call' is reserved; choose another one",
        ),
        (
            "worfklow: w\nworkflow: w\nnodes: [{id: a, transform: 1}]",
            "1:1: worfklow: the key 'worfklow' is not known here; did you mean `workflow`?",
        ),
        ("workflow: w", "1:1: `nodes` is missing; a workflow needs it"),
        (
            "workflow: w\nnodes: []",
            "2:8: nodes: this list must have from 1 to 1000 items, it has 0",
        ),
        (
            "workflow: w\ninput: {type: strin}\nnodes: [{id: a, transform: 1}]",
            "2:15: input.type: 'strin' is not a type of JSON Schema; did you mean `string`?",
        ),
        (
            "workflow: w\ninput: {required: [a]}\nnodes: [{id: a, transform: 1}]",
            "2:8: input: this schema must describe an object; add `type: object`",
        ),
        (
            "workflow: w\ninput: {type: object, required: a}\nnodes: [{id: a, transform: 1}]",
            (
                "2:33: input.required: this is not JSON Schema: "
                'it must be array, it is the string "a"'
            ),
        ),
        (
            "workflow: w\nagents: {a-b: {model: m}}\nnodes: [{id: a, transform: 1}]",
            (
                "2:10: agents.a-b: no node uses the agent `a-b`; "
                "use it in an agent node, or take it away"
            ),
        ),
        (
            'workflow: w\nnodes: [{id: a, transform: "=input.x"}]',
            "2:36: nodes[0].transform: `input` has no `x`",
        ),
        (
            'workflow: w\nnodes: [{id: a, transform: 1}]\noutput: {x: "=b.output"}',
            (
                "3:15: output.x: there is no node `b`; "
                "an expression sees `input`, `run` and nodes by their id"
            ),
        ),
    ],
)
def test_a_mistake_in_a_document_is_told_at_its_place(source: str, complaint: str) -> None:
    assert complaints(source) == [complaint]


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("len(input.question)", "in CEL that is `size(...)`"),
        ("ask.output.upper()", "in CEL that is `upperAscii()`"),
        ("input.question == None", "in CEL that is `null`"),
        ("true and true", "in CEL that is `&&`"),
        ("3 * 2.0", "write double(...) around the whole one"),
    ],
)
def test_who_writes_another_language_is_told_what_cel_has(expression: str, hint: str) -> None:
    [complaint] = complaints(f'{HEAD}  - {{id: n, transform: "={expression}"}}\n')

    assert hint in complaint.splitlines()[0]


@pytest.mark.parametrize(
    "node",
    ["\n    id: n\n    transform: ='a: ' + input.question", "{id: n, transform: =[1, 2]}"],
)
def test_an_expression_that_needs_quotes_in_yaml_is_told_so(node: str) -> None:
    [complaint] = complaints(f"{HEAD}  - {node}\n")

    assert complaint.endswith('write the expression in quotes: "=..."')


def test_an_expression_that_yaml_cut_off_is_told_why() -> None:
    first, *_ = complaints(f"{HEAD}  - {{id: n, transform: ='a, b' + input.question}}\n")

    assert "without them YAML ends it at `, ` and ` #`" in first


def test_a_number_of_retries_is_told_how_to_be_written() -> None:
    [complaint] = complaints(f"{HEAD}  - {{id: n, tool: score, retry: 3}}\n")

    assert complaint.endswith("it is the number 3; write retry: { max: 3 }")


def test_a_schema_that_refers_outside_itself_is_refused() -> None:
    source = 'workflow: w\ninput: {type: object, $ref: "https://x.test/s"}\nnodes: [{id: a, transform: 1}]'

    [complaint] = complaints(source)

    assert complaint.startswith("2:8: input: this JSON Schema cannot be used: $ref:")


def test_every_cycle_is_named_at_its_first_node() -> None:
    source = """\
workflow: w
nodes:
  - {id: a, transform: "=c.output"}
  - {id: b, transform: 1, needs: [a]}
  - {id: c, transform: 1, needs: [b]}
  - {id: d, switch: [{if: "=e.output", then: e}]}
  - {id: e, transform: true}
"""
    assert [problem.message for problem in check_definition(source.encode())] == [
        "nodes wait for each other: `a` needs `c` needs `b` needs `a`",
        "nodes wait for each other: `d` needs `e` needs `d`",
    ]


def test_a_node_has_one_switch_that_chooses_it() -> None:
    source = """\
workflow: w
nodes:
  - {id: a, transform: 1}
  - {id: s, switch: [{if: "=true", then: a}, {if: "=false", then: a}]}
  - {id: t, switch: [{if: "=true", then: a}]}
"""
    assert complaints(source) == [
        (
            "5:42: nodes[2].switch[0].then: `a` is a target of the switch `s` already; "
            "only one node may decide whether another runs; add another one for this"
        )
    ]


def test_one_node_takes_over_from_one_other() -> None:
    source = """\
workflow: w
nodes:
  - {id: a, transform: 1}
  - {id: b, tool: score, on_error: a}
  - {id: c, tool: score, on_error: a}
  - {id: s, switch: [{if: "=true", then: a}]}
"""
    why = "only one node may decide whether another runs; add another one for this"
    assert complaints(source) == [
        f"5:36: nodes[2].on_error: `a` takes over from `b` already; {why}",
        f"6:42: nodes[3].switch[0].then: `a` takes over from `b` already; {why}",
    ]


def test_a_node_that_takes_over_cannot_come_before_what_fails() -> None:
    source = """\
workflow: w
nodes:
  - {id: a, tool: score, with: {x: "=b.output"}, on_error: b}
  - {id: b, transform: 1}
"""
    [complaint] = complaints(source)

    assert complaint.startswith("3:10: nodes[0].id: nodes wait for each other: `a` needs `b` needs")


def test_what_a_body_refers_to_comes_before_its_node() -> None:
    source = """\
workflow: w
nodes:
  - {id: a, map: [1], do: {tool: score, with: {x: "=b.output"}}}
  - {id: b, transform: "=a.output"}
  - {id: c, tool: score, compensate: {tool: score, with: {x: "=d.output"}}}
  - {id: d, transform: "=c.output"}
"""
    assert [problem.message for problem in check_definition(source.encode())] == [
        "nodes wait for each other: `a` needs `b` needs `a`",
        "nodes wait for each other: `c` needs `d` needs `c`",
    ]


def test_all_problems_come_at_once_in_the_order_of_the_source() -> None:
    source = HEAD.replace("question:", "qestion:") + "  - {id: ask, tol: x}\nouput: 1\n"

    with pytest.raises(InvalidDefinition) as raised:
        compile_definition(source.encode(), tools=TOOLS)

    error = raised.value
    assert [(p.line, p.path) for p in error.problems] == [
        (10, "nodes[0].with.message"),
        (12, "nodes[2].id"),
        (12, "nodes[2].tol"),
        (13, "ouput"),
    ]
    assert error.code is Code.INVALID_DEFINITION
    assert error.message.startswith(
        "the definition has 4 problems:\n  10:52: nodes[0].with.message: `input` has no `question`"
    )
    assert error.detail["nodes[2].tol"] == "the key 'tol' is not known here; did you mean `tool`?"


def test_more_problems_than_anybody_reads_are_counted() -> None:
    source = "workflow: w\nnodes: [{id: a, transform: 1}]\n" + "".join(
        f"x{i}: 1\n" for i in range(MAX_PROBLEMS + 7)
    )

    problems = check_definition(source.encode())

    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message == "there are 7 more problems"


def test_problems_are_shown_with_their_line_and_a_caret() -> None:
    source = HEAD + "  - {id: n, tol: chat.post}\n  - {id: m, transform: \"=1 + 'a'\"}\n"

    shown = render(check_definition(source.encode(), tools=TOOLS), "w.yaml", source.encode())

    assert shown == (
        "w.yaml:12:13: nodes[2].tol: the key 'tol' is not known here; did you mean `tool`?\n"
        "      - {id: n, tol: chat.post}\n"
        "                ^\n"
        "w.yaml:13:28: nodes[3].transform: found no matching overload for '_+_' applied to "
        "'(int, string)'\n | 1 + 'a'\n | ..^"
    )
