"""What an expression reads: definitions and the engine both stand on it."""

import sys

import pytest

from stepwell.engine.expressions import Expression, ExpressionError

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
    result = Expression("input", ["input"]).evaluate({"input": dict.fromkeys(names, 1)})
    assert list(result) == sorted(names)
