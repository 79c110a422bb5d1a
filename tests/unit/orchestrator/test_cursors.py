"""Opaque places: kept by callers, made by nobody but us."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.cursors import log_cursor, log_position, run_place, run_token


@given(st.integers(0, 2**62))
def test_a_cursor_is_the_place_that_it_was_made_for(position: int) -> None:
    assert log_position(log_cursor("log", position), "log", last=2**62) == position


@given(st.text(max_size=10), st.integers(0, 2**62))
def test_a_page_token_is_the_place_that_it_was_made_for(filter: str, at: int) -> None:
    assert run_place(run_token(filter, at, "a run"), filter) == (at, "a run")


def test_no_cursor_is_the_beginning() -> None:
    assert log_position("", "log", last=5) == 0
    assert run_place("", "any") is None


@given(st.text())
def test_a_made_up_cursor_is_refused_in_one_way(text: str) -> None:
    if text:
        with pytest.raises(InvalidRequest) as refused:
            log_position(text, "log", last=5)
        assert refused.value.code in (Code.INVALID_CURSOR, Code.CURSOR_EXPIRED)


@pytest.mark.parametrize("cursor", [log_cursor("other", 3), log_cursor("log", 6)])
def test_a_cursor_of_another_or_an_older_log_has_expired(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="read from the beginning") as refused:
        log_position(cursor, "log", last=5)
    assert refused.value.code is Code.CURSOR_EXPIRED


def test_a_page_token_is_good_for_its_own_filter_only() -> None:
    with pytest.raises(InvalidRequest, match="another filter"):
        run_place(run_token("failed/", 1, "a run"), "completed/")


def test_a_cursor_is_no_page_token() -> None:
    with pytest.raises(InvalidRequest):
        run_place(log_cursor("log", 3), "")
