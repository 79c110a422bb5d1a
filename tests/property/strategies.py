"""What Hypothesis makes events, reports and answers of."""

from typing import Any, get_type_hints

import msgspec
from hypothesis import strategies as st
from tests.simulation.bodies import TOOLS

from stepwell.engine.events import KINDS, Event, Parent
from stepwell.engine.inputs import Answer
from stepwell.engine.messages import Opaque, ToolRequest, Usage
from stepwell.engine.values import Data, Failure
from stepwell.errors import Code

MARK = "row-of-a-customer"
"""Stands for what no event body may hold."""

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
plain_data = st.builds(Data, value=json_values)
sealed_data = st.builds(
    lambda value, seal: Data(value=[MARK, value], sealed=seal),
    json_values,
    st.sampled_from(["datasource:shop", "datasource:other"]),
)
any_data = plain_data | sealed_data
failures = st.builds(
    Failure,
    reason=st.sampled_from([*Code, *(str(code) for code in Code)]),
    message=words,
    retryable=st.booleans(),
    detail=st.dictionaries(words, words, max_size=2),
)
parents = st.builds(Parent, run=words, step=words, attempt=whole, depth=whole)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    int: whole,
    int | None: st.none() | whole,
    str: words,
    bool: st.booleans(),
    Data: any_data,
    Failure: failures,
    Failure | None: st.none() | failures,
    Parent | None: st.none() | parents,
    Usage: st.builds(Usage, input=whole, output=whole, cache_read=whole),
    dict[str, str]: st.dictionaries(words, words, max_size=3),
    dict[str, int]: st.dictionaries(words, whole, max_size=3),
    tuple[str, ...]: st.lists(words, max_size=3).map(tuple),
    dict[str, tuple[str, ...]]: st.dictionaries(
        words, st.lists(words, max_size=3).map(tuple), max_size=3
    ),
}
names = st.sampled_from(["a", "b", "c"])
BY_NAME = {"step": names | words, "node": names, "key": names}
"""Nodes and keys are never empty, and often the step's own id."""


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one kind, with anything in their fields."""
    hints = get_type_hints(kind)
    fields = msgspec.structs.fields(kind)
    made = {field.name: BY_TYPE[hints[field.name]] for field in fields}
    return st.builds(kind, **{**made, **{it: BY_NAME[it] for it in made.keys() & BY_NAME.keys()}})


every_event = st.one_of([events_of(kind) for kind in KINDS.values()])

requests = st.builds(
    ToolRequest,
    id=words,
    name=st.sampled_from(TOOLS),
    arguments=st.dictionaries(words, json_values, max_size=2),
    problem=st.just("") | words,
)
answers = st.one_of(
    st.builds(
        Answer,
        text=any_data,
        tools=st.lists(requests, min_size=1, max_size=3).map(tuple),
        opaque=st.lists(st.builds(Opaque, words, json_values), max_size=1).map(tuple),
    ),
    st.builds(Answer, text=any_data, final=any_data),
    st.builds(Answer, text=any_data, problem=words.filter(bool)),
)
model_outcomes = st.one_of(
    st.builds(lambda answer: {"answer": answer}, answers),
    st.builds(lambda failure: {"failure": failure}, failures),
)
"""How a model call comes back, as fields of the report."""
tool_outcomes = st.one_of(
    st.builds(lambda result: {"result": result}, any_data),
    st.builds(lambda failure: {"failure": failure}, failures),
)
child_outcomes = st.one_of(
    st.builds(lambda output: {"output": output}, any_data),
    st.builds(lambda failure: {"failure": failure}, failures),
)
jitters = st.floats(0, 1, exclude_max=True)
