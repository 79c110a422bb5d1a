import pytest

from stepwell.telemetry import traceparent

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RUN = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_a_traceparent_is_written_as_it_was_read() -> None:
    place = traceparent.parse(GIVEN)
    assert place is not None
    assert place.text() == GIVEN
    assert place.is_sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        GIVEN.upper(),
        GIVEN[:-1],
        f"{GIVEN}-more",
        f"ff{GIVEN[2:]}",
        f"{GIVEN}\n",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    ],
)
def test_what_is_no_traceparent_is_as_good_as_none(text: str) -> None:
    assert traceparent.parse(text) is None
    assert traceparent.clean(text) == ""


def test_of_a_version_to_come_the_known_part_is_read() -> None:
    """W3C Trace Context, section 3.2.4."""
    assert traceparent.clean(f"cc{GIVEN[2:]}-more") == GIVEN


def test_a_run_has_its_ids_wherever_it_is() -> None:
    assert f"{traceparent.trace_of(RUN):032x}" == RUN.replace("-", "")
    assert traceparent.span_of(RUN) == traceparent.span_of(RUN) != 0
    assert traceparent.span_of(RUN) < 2**64
