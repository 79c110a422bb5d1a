"""What an expression reads: definitions and the engine both stand on it."""

import gc
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell.engine.expressions import Expression, ExpressionError, Template

NAMES = ("input", "run", "ask", "item")


@pytest.mark.parametrize(
    ("text", "refs", "paths"),
    [
        ("ask.output.total > 3", {"ask"}, [("ask", "output", "total")]),
        ("has(input.a.b)", {"input"}, [("input", "a", "b")]),
        (".input.q", {"input"}, [("input", "q")]),
        ("input.q.startsWith('a')", {"input"}, [("input", "q")]),
        ("ask.?output.?total.orValue(1)", {"ask"}, [("ask", "output", "total")]),
        ("ask.output[0].item", {"ask"}, [("ask", "output")]),
        ("{'a': input.x}.ask", {"input"}, [("input", "x")]),
        ("'ask.output' + run.id // item", {"run"}, [("run", "id")]),
        ("1u + 2u", set(), []),
    ],
)
def test_an_expression_knows_the_variables_and_members_that_it_reads(
    text: str, refs: set[str], paths: list[tuple[str, ...]]
) -> None:
    expression = Expression(text, NAMES)

    assert (set(expression.refs), list(expression.paths)) == (refs, paths)


def test_a_function_is_not_taken_for_the_node_of_the_same_name() -> None:
    assert Expression("size(input.items)", ["input", "size"]).refs == {"input"}
    assert Expression("size(size.output)", ["input", "size"]).refs == {"size"}


def test_a_variable_that_a_macro_binds_hides_the_node_of_the_same_name() -> None:
    assert Expression("input.items.map(item, item.x)", NAMES).refs == {"input"}
    assert Expression("input.items.map(item, item.x) + item.output", NAMES).refs == {
        "input",
        "item",
    }


def test_a_condition_may_be_of_a_type_that_only_the_run_knows() -> None:
    assert Expression("ask.output.ok", NAMES, condition=True).holds(
        {"ask": {"output": {"ok": True}}}
    )
    with pytest.raises(ExpressionError, match="a condition must be a bool, this is string"):
        Expression("'yes'", NAMES, condition=True)


def test_a_map_with_a_key_that_json_has_not_is_refused_like_any_other_mistake() -> None:
    with pytest.raises(ExpressionError, match="Unsupported map key type"):
        Expression("{input: 1}", NAMES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a,b'.split(',').map(part, part.upperAscii()).join('-')", "A-B"),
        ("math.round(1.5) + double(math.greatest(1, math.least(5, 3)))", 5.0),
        ("{'a': 1}.?b.orValue(2)", 2),
        ("cel.bind(x, 2, x * x)", 4),
    ],
)
def test_strings_math_optional_values_and_bindings_are_there(text: str, value: object) -> None:
    assert Expression(text, ()).evaluate({}) == value


@pytest.mark.parametrize("text", ["lists.range(1000000000)", "sets.contains([1], [1])"])
def test_what_the_budget_of_iterations_does_not_count_is_no_function(text: str) -> None:
    with pytest.raises(ExpressionError, match="undeclared reference"):
        Expression(text, ())


@pytest.mark.parametrize("text", ["null", "[null, null]", "{'a': [null]}", "input", "input.x"])
def test_a_result_with_nulls_takes_no_reference_to_none_away(text: str) -> None:
    """On Python 3.11 a process that gives too many away is aborted."""
    expression = Expression(text, ["input"])
    bindings = {"input": {"x": None, "y": [None] * 10}}
    expression.evaluate(bindings)
    gc.collect()  # what earlier tests have left refers to None too
    before = sys.getrefcount(None)
    for _ in range(1000):
        expression.evaluate(bindings)
    assert sys.getrefcount(None) > before - 500


@pytest.mark.parametrize("text", ["1.0 / 0.0", "-1.0 / 0.0", "[0.0 / 0.0]"])
def test_a_number_that_json_does_not_have_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError, match="which is not JSON"):
        Expression(text, []).evaluate({})


def test_the_keys_of_a_result_are_in_order() -> None:
    """A map of CEL has another order each time; the log and its digests must not."""
    names = [f"k{n}" for n in range(20)]
    result = Expression("[input][0]", ["input"]).evaluate({"input": dict.fromkeys(names, 1)})
    assert list(result) == sorted(names)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc") | st.text("xyz", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.lists(st.sampled_from("abc"), max_size=4))
@settings(suppress_health_check=[HealthCheck.too_slow])  # it reads a table of Unicode at first
def test_a_path_gives_what_cel_would_give(value: Any, members: list[str]) -> None:
    path = ".".join(["input", *members])
    plain, cel = Expression(path, ["input"]), Expression(f"[{path}][0]", ["input"])

    assert (bool(plain.plain), bool(cel.plain)) == (True, False)
    assert outcome(plain, value) == outcome(cel, value)


def test_a_text_that_cel_would_cut_off_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="NUL"):
        Expression("input.a + 'b'", ["input"]).evaluate({"input": {"a": "x\0y"}})
    assert Expression("input.a", ["input"]).evaluate({"input": {"a": "x\0y"}}) == "x\0y"


def outcome(expression: Expression, value: Any) -> Any:
    try:
        return expression.evaluate({"input": value})
    except ExpressionError:
        return ExpressionError


@pytest.mark.parametrize(
    "value",
    [2**70, "x" * 5_000_000, [0] * 2_000_000, {"b": 1, "a": 2}],
    ids=["a number of 71 bits", "a long string", "a long list", "keys in their own order"],
)
def test_a_path_gives_the_very_value(value: Any) -> None:
    ask = Template(Expression("ask.output", NAMES))

    assert ask.render({"ask": {"output": value}}) is value


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("input.x", 'Key not found in map : "x" (in =input.x)'),
        ("input.none.x", "null has no member 'x' (in =input.none.x)"),
        ("input.list.x", "a list has no member 'x' (in =input.list.x)"),
    ],
)
def test_a_path_to_nothing_is_told(path: str, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(path, NAMES).evaluate({"input": {"none": None, "list": [1]}})
    assert caught.value.message == told


def test_paths_that_double_a_value_are_limited() -> None:
    """Forty nodes, each with the output of the one before it twice, would take a tebibyte."""
    twice = Template([Expression("ask.output", NAMES), Expression("ask.output", NAMES)])
    value: Any = "x" * 1000

    for _ in range(12):
        value = twice.render({"ask": {"output": value}})
    with pytest.raises(ExpressionError, match="more than 4194304 characters and elements"):
        twice.render({"ask": {"output": [value, value]}})


def nested(count: int, macro: str, body: str) -> str:
    """Macros inside one another, each with twice what the one around it names."""
    last = f"a{count - 1}"
    text = f"size({last})"
    for n in reversed(range(count)):
        source = "input.s" if n == 0 else f"a{n - 1}"
        text = macro.format(name=f"a{n}", value=body.format(source), rest=text)
    return text


BIND = "cel.bind({name}, {value}, {rest})"


@pytest.mark.parametrize(
    "text",
    [
        nested(30, BIND, "{0}+{0}"),
        nested(30, BIND, "[{0},{0}]"),
        nested(14, "[{value}].map({name}, {rest})", "{0}+{0}"),
        "['a']" + ".map(x, x+x)" * 24,
        "'a'" + ".replace('a', 'aa')" * 24,
        "'a'" + ".replace//\n('a', 'aa')" * 24,
        "input.l.filter(x, x in input.l)",
        "input.l.map(x, input.l)",
        "input.l.map(x, input.l + [x]).size()",
        "cel.bind(y, input.l, input.l.all(x, x in y))",
        "input.s.replace('', input.s)",
        "input.l.map(x, string(x)).join(input.s)",
        "input.s.split('').join(input.s)",
        "input.s.split('').filter(x, x == input.s).size()",
    ],
)
def test_what_would_make_too_much_of_its_input_is_not_begun(text: str) -> None:
    expression = Expression(text, NAMES)

    with pytest.raises(ExpressionError, match="may make more than 4194304"):
        expression.evaluate({"input": {"l": list(range(9000)), "s": "a" * 60_000}})


@pytest.mark.parametrize(
    "text",
    [
        "orders.map(o, {'id': o.id, 'name': o.name, 'lines': o.lines.map(l, l.price * 2)}).size()",
        "orders.filter(o, o.name == input.name).size() + orders.filter(o, o.id > 3).size()",
        "orders.map(o, o.name.replace('&', '&amp;').replace('<', '&lt;')).join(', ').size()",
        "cel.bind(big, orders.filter(o, o.id > 3), size(big) > 0 ? big.map(o, o.id) : []).size()",
        "orders.exists(o, o.name in ['a', 'b', 'c']) ? 1 : 1000",
    ],
)
def test_ordinary_work_on_a_thousand_items_is_done(text: str) -> None:
    order = {"id": 7, "name": "some & name", "lines": [{"price": 1}]}
    bindings = {"orders": [order] * 1000, "input": {"name": "some & name"}}

    assert Expression(text, bindings, dynamic=bindings).evaluate(bindings) >= 1000


def test_what_takes_all_memory_is_an_error_of_the_expression() -> None:
    """The run fails then; a run that goes on would call its tools again at each restart."""

    class Greedy(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise MemoryError("std::bad_alloc")

    with pytest.raises(ExpressionError, match="takes more memory than there is"):
        Expression("size(input.s)", NAMES).evaluate(Greedy())


@pytest.mark.parametrize(
    "plan", [{"in": Expression("ask.output", NAMES)}, Expression("[ask.output]", NAMES)]
)
def test_a_value_does_not_grow_deeper_from_node_to_node_for_ever(plan: Any) -> None:
    value: Any = []
    for _ in range(127):
        value = Template(plan).render({"ask": {"output": value}})

    with pytest.raises(ExpressionError, match="more than 128 maps and lists in one another"):
        Template(plan).render({"ask": {"output": [value]}})
