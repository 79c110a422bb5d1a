"""A filter that is written down is read as what was meant; anything else is refused in one way."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stepwell.errors import InvalidRequest
from stepwell.orchestrator.filters import MAX_VALUES, parse_filter
from stepwell.orchestrator.views import RunStatus
from stepwell_storage.records import Condition

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
LABELS = st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)
EQUALITIES = st.sampled_from(["=", "!="])
TIMES = st.integers(-(10**15), 10**16)
"""Microseconds, from the years 1938 to 2286."""


def several(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, min_size=1, max_size=4).map(tuple)


def conditions() -> st.SearchStrategy[Condition]:
    texts = st.sampled_from(["workflow", "version", "principal", "run_key"])
    fields = texts | LABELS.map(lambda name: f"labels.{name}")
    statuses = st.sampled_from(list(RunStatus)).map(str)
    runs = st.sampled_from(["parent", "forked_from"])
    return st.one_of(
        st.builds(Condition, fields, st.just("="), several(TEXT)),
        st.builds(Condition, fields, EQUALITIES, st.tuples(TEXT)),
        st.builds(Condition, st.just("status"), st.just("="), several(statuses)),
        st.builds(Condition, runs, EQUALITIES, st.tuples(st.uuids().map(str))),
        st.builds(
            Condition,
            st.sampled_from(["created_at", "updated_at", "ended_at"]),
            st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            st.tuples(TIMES),
        ),
    )


def written(condition: Condition) -> str:
    values = [quoted(value) for value in condition.values]
    many = f"({' OR '.join(values)})" if len(values) > 1 else values[0]
    return f"{condition.field} {condition.operator} {many}"


def quoted(value: str | int) -> str:
    if isinstance(value, int):
        value = (EPOCH + timedelta(microseconds=value)).isoformat()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(conditions(), max_size=MAX_VALUES // 4))
def test_a_filter_is_read_as_it_was_written(wanted: list[Condition]) -> None:
    assert parse_filter(" AND ".join(map(written, wanted))) == tuple(wanted)


# fmt: off
PIECES = st.sampled_from([
    "status", "labels", ".", ":", "=", "!=", "<", "(", ")", "AND", "OR", "NOT", '"', "'", "\\",
    "failed", "created_at", '"2026-01-01T00:00:00Z"', "\0", "\n", "-", "a", "😀", "parent",
])
# fmt: on


@given(st.text(max_size=40) | st.lists(PIECES, max_size=20).map(" ".join))
def test_any_text_is_a_filter_or_refused_at_a_column_of_it(text: str) -> None:
    try:
        parse_filter(text)
    except InvalidRequest as error:
        column = int(error.detail["filter"].split()[1].rstrip(":"))
        assert 1 <= column <= len(text) + 1
