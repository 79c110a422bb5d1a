"""Filters over the list of runs: what they mean, and what is said of those that mean nothing."""

from datetime import UTC, datetime

import pytest

from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.filters import MAX_LENGTH, MAX_VALUES, parse_filter
from stepwell_storage.records import Condition

RUN = "01890a5d-ac96-774b-bcce-b302099a8057"
NEW_YEAR = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def refused(text: str) -> str:
    with pytest.raises(InvalidRequest) as error:
        parse_filter(text)
    assert error.value.code is Code.INVALID_REQUEST
    assert error.value.detail["filter"] in error.value.message
    return error.value.detail["filter"]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_filter_has_no_conditions(text: str) -> None:
    assert parse_filter(text) == ()


def test_conditions_are_joined_by_and() -> None:
    text = 'status = "waiting" AND workflow != "x" AND created_at > "2026-01-01T00:00:00Z"'
    assert parse_filter(text) == (
        Condition("status", "=", ("waiting",)),
        Condition("workflow", "!=", ("x",)),
        Condition("created_at", ">", (NEW_YEAR,)),
    )


def test_one_field_may_have_any_of_several_values() -> None:
    assert parse_filter('status = ("failed" OR cancelled)') == (
        Condition("status", "=", ("failed", "cancelled")),
    )


@pytest.mark.parametrize(
    "text",
    ["workflow=answer-question", "workflow = 'answer-question'", ' workflow="answer-question" '],
)
def test_a_simple_value_needs_no_quotes(text: str) -> None:
    assert parse_filter(text) == (Condition("workflow", "=", ("answer-question",)),)


@pytest.mark.parametrize("word", ["AND", "OR", "NOT", "", 'a "b" \\', "(", "ä 😀"])
def test_a_value_in_quotes_may_be_anything(word: str) -> None:
    quoted = word.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_filter(f'run_key = "{quoted}"') == (Condition("run_key", "=", (word,)),)


def test_a_label_is_named_after_a_dot() -> None:
    assert parse_filter('labels.app.kind = "a"') == (Condition("labels.app.kind", "=", ("a",)),)


@pytest.mark.parametrize("text", ["labels:team", 'labels:"team"'])
def test_a_label_that_is_there_has_a_text_that_is_not_less_than_the_empty_one(text: str) -> None:
    assert parse_filter(text) == (Condition("labels.team", ">=", ("",)),)


@pytest.mark.parametrize("given", [RUN, f'"runs/{RUN}"'])
def test_a_run_goes_by_its_id_or_its_name(given: str) -> None:
    assert parse_filter(f"parent = {given}") == (Condition("parent", "=", (RUN,)),)


@pytest.mark.parametrize(
    "time", ["2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", "2026-01-01 00:00:00.000000Z"]
)
def test_a_time_is_the_same_in_every_zone(time: str) -> None:
    assert parse_filter(f'ended_at <= "{time}"') == (Condition("ended_at", "<=", (NEW_YEAR,)),)


MISTAKES = {
    'statu = "failed"': "column 1: there is no field 'statu'; did you mean status?",
    'label.team = "a"': "column 1: there is no field 'label.team'; did you mean labels.team?",
    'zzz = "a"': (
        "column 1: there is no field 'zzz'; there are status, workflow, version, principal, "
        "run_key, created_at, updated_at, ended_at, parent, forked_from, labels.NAME"
    ),
    '"status" = "failed"': "column 1: a field is expected here, not 'status'",
    'status = "wating"': "column 10: 'wating' is no status of a run; did you mean 'waiting'?",
    'status = "FAILED"': "column 10: 'FAILED' is no status of a run; did you mean 'failed'?",
    'status = "zzz"': (
        "column 10: 'zzz' is no status of a run; there are running, waiting, paused, "
        "completed, failed, cancelled"
    ),
    "status failed": "column 8: status is to be compared: status = VALUE, not 'failed'",
    "status": "column 7: status is to be compared: status = VALUE, not the end",
    "status =": "column 9: a value is expected here, not the end",
    "status = = a": "column 10: a value is expected here, not '='",
    'workflow < "a"': "column 10: workflow is the same or another, = or !=, and not < a value",
    'workflow:"a"': "column 9: only labels:NAME asks what is there; write workflow = VALUE",
    "workflow = a and status = failed": "column 14: AND is expected here, not 'and'",
    "workflow = a status = failed": "column 14: AND is expected here, not 'status'",
    "workflow = a AND": "column 17: a field is expected here, not the end",
    "workflow = a OR workflow = b": (
        'column 14: OR joins values of one field, like status = ("failed" OR "cancelled"), and'
        " not conditions"
    ),
    "NOT workflow = a": "column 1: NOT is not known here; write FIELD != VALUE",
    "-workflow = a": "column 1: NOT is not known here; write FIELD != VALUE",
    "(workflow = a)": "column 1: a field is expected here, not '('",
    'workflow = ("a" AND "b")': "column 17: OR or ) is expected here, not 'AND'",
    'workflow = ("a" OR "b"': "column 23: OR or ) is expected here, not the end",
    "workflow = ()": "column 13: a value is expected here, not ')'",
    "workflow != (a OR b)": (
        "column 13: several values may follow = only; join conditions with AND"
    ),
    "principal = user:ada": (
        "column 17: AND is expected here, not ':'; a value with such characters needs quotes"
    ),
    'workflow = "a': "column 12: this quote is never closed",
    "workflow ! a": "column 10: '!' means nothing here",
    'workflow = "\x00"': "column 12: no text that is stored has such characters",
    'parent = "x"': "column 10: parent is the id of a run, and 'x' is none",
    'created_at > "yesterday"': (
        "column 14: created_at is compared with a time and its zone, like "
        "\"2026-01-31T09:00:00Z\", and 'yesterday' is none"
    ),
    'created_at > "2026-01-01"': (
        "column 14: created_at is compared with a time and its zone, like "
        "\"2026-01-31T09:00:00Z\", and '2026-01-01' is none"
    ),
    'labels = "a"': 'column 1: name a label: labels.team = "shop", or labels:team for any value',
    'labels:""': "column 8: a label has a name",
    "labels.team:a": "column 12: only labels:NAME asks what is there; write labels.team = VALUE",
    "labels. = a": "column 1: there is no field 'labels.'; did you mean labels.NAME?",
}


@pytest.mark.parametrize(("text", "says"), MISTAKES.items())
def test_a_mistake_is_told_with_its_column_and_what_would_be_right(text: str, says: str) -> None:
    assert refused(text) == says


def test_a_filter_is_bounded_in_length_and_in_values() -> None:
    assert "at most 4096 characters" in refused("x" * (MAX_LENGTH + 1))
    values = " OR ".join(["a"] * MAX_VALUES)
    assert len(parse_filter(f"workflow = ({values})")[0].values) == MAX_VALUES
    assert "at most 64 values" in refused(f"workflow = ({values} OR b)")
