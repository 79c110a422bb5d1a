"""What a model is shown of a result of many rows."""

from typing import Any

from stepwell.engine.pages import PAGE, first_page


def result(count: int, **more: Any) -> dict[str, Any]:
    return {
        "columns": ["i"],
        "rows": [[i] for i in range(count)],
        "returned": count,
        "total": count,
        "truncated": False,
        "notes": ["a value was cut"],
        **more,
    }


def test_a_model_is_shown_the_first_page_and_how_to_go_on() -> None:
    shown: Any = first_page(result(120, result_id="r/call"))
    assert shown["rows"] == [[i] for i in range(PAGE)]
    assert (shown["returned"], shown["total"], shown["truncated"]) == (PAGE, 120, True)
    assert shown["notes"][0] == "a value was cut"
    assert "result_id='r/call' and offset=50" in shown["notes"][1]


def test_what_is_no_long_result_of_a_query_is_shown_as_it_is() -> None:
    for value in (None, 7, [1] * 100, {"rows": [1] * 100}, result(100), result(50, result_id="r")):
        assert first_page(value) == value
