"""What others said, in the shape that the log takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine.wording import bounded


@given(st.text(st.characters(), max_size=200))
def test_words_can_be_encoded_and_have_an_end(text: str) -> None:
    said = bounded(text, 64)
    said.encode()
    assert len(said) <= 64


@pytest.mark.parametrize("text", ["", "short", "x" * 64])
def test_what_fits_stays_as_it_is(text: str) -> None:
    assert bounded(text, 64) == text


def test_what_is_left_out_is_counted() -> None:
    said = bounded("x" * 1000, 64)
    kept = said.count("x") - "characters".count("x")
    assert said.endswith(f"… ({1000 - kept} characters left out)")


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert bounded("bad \ud800") == "bad ?"
