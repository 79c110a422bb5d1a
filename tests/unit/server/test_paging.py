"""Pages are bounded in number and in bytes."""

import pytest

from stepwell.errors import Code, InvalidRequest
from stepwell.v1 import common_pb2
from stepwell_server import paging


def message(size: int) -> common_pb2.Data:
    return common_pb2.Data(json=b"x" * size)


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (7, 7), (1000, 1000), (5000, 1000)])
def test_a_page_has_the_size_that_was_asked_for_within_bounds(asked: int, given: int) -> None:
    assert paging.page_size(asked) == given


def test_a_page_ends_before_it_outgrows_a_message() -> None:
    million = 1024 * 1024
    assert paging.fitting([message(million)] * 5) == 2
    assert paging.fitting([message(100)] * 5) == 5
    assert paging.fitting([]) == 0


def test_a_page_holds_at_least_one_row() -> None:
    assert paging.fitting([message(4 * 1024 * 1024), message(1)]) == 1


def test_a_token_gives_back_its_place() -> None:
    assert paging.place(paging.token("größe-7")) == "größe-7"
    assert paging.place("") == ""


@pytest.mark.parametrize("token", ["!", "a", "_w", "größe", "\u2028"])
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match="begin at the first page") as refused:
        paging.place(token)

    assert refused.value.code is Code.INVALID_CURSOR
