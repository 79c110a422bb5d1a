"""Maps and loops: many steps of one node."""

from typing import Any

import pytest
from tests.unit.engine.story import Story, plain

from stepwell.engine.inputs import Expire
from stepwell.engine.values import Data, Failure

EACH = """
workflow: each
input: { type: object, required: [items], properties: { items: {}, add: {} } }
nodes:
  - id: each
    map: =input.items
    concurrency: 2
    do: { tool: look, with: { item: =item, index: =index, sum: "=item + input.add" }, retry: { max: 1 } }
output: =each.output
"""
PAGES = """
workflow: pages
nodes:
  - id: pages
    loop: { while: "=last == null || last.more", max: 3 }
    do: { tool: page, with: { last: =last, n: =index } }
output: =pages.output
"""
FAILED = Failure("TOOL_ERROR", "no")


def test_a_map_makes_a_step_of_every_item_and_gives_their_outputs_in_order() -> None:
    run = Story(EACH)
    run.start({"items": [1, 2, 3], "add": 10})
    assert [call.step for call in run.calls] == ["each[0]", "each[1]"]
    assert run.calls[1].arguments == plain({"item": 2, "index": 1, "sum": 12})
    assert run.calls[1].key == "each[1]"
    run.tool("each[1]", "b")
    assert [call.step for call in run.calls] == ["each[2]"]
    run.tool("each[2]", "c")
    run.tool("each[0]", "a")
    assert run.state.output == plain(["a", "b", "c"])
    assert list(run.state.steps) == ["each"]


def test_a_map_of_nothing_gives_nothing() -> None:
    run = Story(EACH)
    run.start({"items": [], "add": 0})
    assert run.state.output == plain([])


@pytest.mark.parametrize(
    ("given", "said"), [({"a": 1}, "a map"), (None, "null"), ("abc", "a string")]
)
def test_a_map_over_something_that_is_no_list_fails_and_says_what_it_was_given(
    given: Any, said: str
) -> None:
    run = Story(EACH)
    run.start({"items": given, "add": 0})
    assert run.failure.reason == "EXPRESSION_ERROR"
    assert f"needs a list, and was given {said}" in run.failure.message


def test_a_map_over_too_many_items_says_how_many_there_may_be() -> None:
    run = Story(EACH)
    run.start({"items": [0] * 100_001, "add": 0})
    assert "100000" in run.failure.message


def test_another_owner_sees_how_far_a_map_is() -> None:
    run = Story(EACH)
    run.start({"items": [1, 2, 3, 4], "add": 0})
    run.tool("each[1]", "b")
    folded = run.fold_again()
    assert folded.steps["each"].fan == run.state.steps["each"].fan
    assert folded.open.keys() == run.state.open.keys() == {"each[0]/1/tool/", "each[2]/1/tool/"}


def test_a_step_of_a_map_that_fails_fails_the_map_and_the_others_are_stopped() -> None:
    run = Story(EACH)
    run.start({"items": [1, 2, 3], "add": 0})
    run.tool("each[0]", failure=FAILED)
    assert run.kinds[-3:] == ["step_failed", "step_failed", "run_failed"]
    assert run.failure.message == "each[0]: no"
    assert run.stopped == ["each[1]/1/tool/"]


def test_a_step_of_a_map_is_tried_again_by_itself() -> None:
    run = Story(EACH)
    run.start({"items": [1], "add": 0})
    run.tool("each[0]", failure=Failure("TOOL_ERROR", "busy", retryable=True))
    assert run.kinds[-1] == "step_retry_scheduled"


def test_what_failed_is_null_where_the_body_says_continue() -> None:
    run = Story(EACH.replace("retry: { max: 1 }", "on_error: continue"))
    run.start({"items": [1, 2], "add": 0})
    run.tool("each[0]", failure=FAILED)
    run.tool("each[1]", "b")
    assert run.state.output == plain([None, "b"])


def test_the_time_of_a_map_is_that_of_all_its_steps() -> None:
    run = Story(EACH.replace("concurrency: 2", "timeout: 1m"))
    run.start({"items": [1, 2], "add": 0})
    run.give(Expire(at=60_000_000, step="each", attempt=1))
    assert run.failure.reason == "STEP_TIMEOUT"
    assert sorted(run.stopped) == ["each[0]/1/tool/", "each[1]/1/tool/"]


def test_sealed_items_and_results_seal_what_a_map_gives() -> None:
    run = Story(EACH)
    run.start({"items": [1], "add": 0})
    run.tool("each[0]", {"row": 1}, sealed="datasource:shop")
    assert run.state.output.sealed == "datasource:shop"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_sealed_result_seals_what_a_map_gives_whenever_it_came(order: tuple[int, int]) -> None:
    run = Story(EACH)
    run.start({"items": [1, 2], "add": 0})
    for index in order:
        run.tool(f"each[{index}]", index, sealed="" if index else "datasource:shop")
    assert run.state.output == Data(value=[0, 1], sealed="datasource:shop")


def test_a_loop_goes_on_while_its_condition_holds() -> None:
    run = Story(PAGES)
    run.start()
    assert run.calls[0].arguments == plain({"last": None, "n": 0})
    run.tool("pages[0]", {"more": True})
    assert run.calls[0].arguments == plain({"last": {"more": True}, "n": 1})
    run.tool("pages[1]", {"more": False})
    assert run.state.output == plain({"more": False})


def test_a_loop_ends_after_its_bound() -> None:
    run = Story(PAGES)
    run.start()
    for index in range(3):
        run.tool(f"pages[{index}]", {"more": True})
    assert run.kinds[-1] == "run_completed"
    assert run.state.output == plain({"more": True})


def test_a_loop_whose_condition_has_no_value_fails() -> None:
    run = Story(PAGES)
    run.start()
    run.tool("pages[0]", {})
    assert run.failure.reason == "EXPRESSION_ERROR"


def test_a_loop_that_never_begins_gives_null() -> None:
    run = Story(PAGES.replace("=last == null || last.more", "=false"))
    run.start()
    assert run.state.output == plain(None)


def test_an_event_of_a_large_map_costs_as_much_as_one_of_a_small() -> None:
    """No container of the state is gone through: they are counted, not timed."""
    run = Story(EACH)
    run.start({"items": list(range(5000)), "add": 0})
    for index in range(1000):
        run.tool(f"each[{index}]", index)
    assert len(run.state.steps) == 3
    assert len(run.state.open) == 2


def test_what_a_loop_was_given_seals_what_it_asks_next() -> None:
    run = Story(PAGES)
    run.start()
    run.tool("pages[0]", {"more": True, "row": 1}, sealed="datasource:shop")
    assert run.calls[0].arguments.sealed == "datasource:shop"
    run.tool("pages[1]", {"more": False})
    assert run.state.output.sealed == "datasource:shop"


def test_a_sealed_item_seals_what_is_asked_about_it() -> None:
    run = Story(
        "workflow: w\nnodes:\n  - { id: rows, tool: look }\n"
        "  - { id: each, map: '=rows.output', do: { wait: { for: '=item.wait' } } }\n"
    )
    run.start()
    run.tool("rows", [{"wait": "5s"}], sealed="datasource:shop")
    assert run.state.steps["each[0]"].input.sealed == "datasource:shop"
