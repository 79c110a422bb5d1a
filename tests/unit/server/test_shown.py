"""What a person sees of a call: all of it, and nothing that hides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine.values import Data
from stepwell_server.visible import pretty, visible, visible_line
from stepwell_server.web.diffs import Row, compared
from stepwell_server.web.moments import ago, left
from stepwell_server.web.shown import MOST_SHOWN, shown
from stepwell_server.web.sql_text import formatted
from stepwell_server.web.viewers import safe_path

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain, größer, 数", "plain, größer, 数"),
        ("a\u202eb", "a\\u202eb"),  # turns what follows around
        ("a\u200bb", "a\\u200bb"),  # has no width
        ("a\x1b[31mb", "a\\u001b[31mb"),  # a terminal would obey
        ("a\x9bb\x7f", "a\\u009bb\\u007f"),
        ("a\U000e0041b", "a\\U000e0041b"),  # a letter that nobody sees
        ("a\u00a0b", "a\\u00a0b"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_its_number(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_lines_stay_lines_where_there_is_room_for_them() -> None:
    assert visible("a\nb\tc\r\n") == "a\nb\\u0009c\\u000d\n"
    assert visible_line("a\nb") == "a\\nb"


def test_arguments_are_shown_in_one_order_and_whole() -> None:
    assert pretty({"b": "\u202e", "a": [1, None]}) == (
        '{\n  "a": [\n    1,\n    null\n  ],\n  "b": "\\u202e"\n}'
    )


def test_a_comparison_has_each_line_once_with_its_number() -> None:
    rows = compared("a\nb\nc", "a\nB\nc\nd")
    assert rows == (
        Row(kind="same", left="a", right="a", left_number=1, right_number=1),
        Row(kind="changed", left="b", right="B", left_number=2, right_number=2),
        Row(kind="same", left="c", right="c", left_number=3, right_number=3),
        Row(kind="added", right="d", right_number=4),
    )


def test_a_long_file_with_many_equal_lines_is_compared_where_it_changes() -> None:
    old = ["", "}"] * 700
    new = [*old[:600], "here", *old[600:]]
    rows = compared("\n".join(old), "\n".join(new))
    assert rows is not None
    assert [row.kind for row in rows if row.kind != "same"] == ["gap", "added", "gap"]
    (added,) = [row for row in rows if row.kind == "added"]
    assert (added.right, added.right_number) == ("here", 601)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_a_comparison_has_every_line_of_both_texts(old: list[str], new: list[str]) -> None:
    rows = compared("\n".join(old), "\n".join(new))
    assert rows is not None
    left = [row.left_number for row in rows if row.left_number]
    right = [row.right_number for row in rows if row.right_number]
    hidden = sum(row.gap for row in rows)
    assert (len(left) + hidden, len(right) + hidden) == (max(len(old), 1), max(len(new), 1))
    assert (left, right) == (sorted(set(left)), sorted(set(right)))


def test_lines_far_from_any_change_are_counted_and_left_out() -> None:
    lines = [str(n) for n in range(100)]
    changed = [*lines[:50], "new", *lines[51:]]
    rows = compared("\n".join(lines), "\n".join(changed))
    assert rows is not None
    kinds = [row.kind for row in rows]
    assert kinds == ["gap", *["same"] * 4, "changed", *["same"] * 4, "gap"]
    assert [row.gap for row in rows if row.kind == "gap"] == [46, 45]


def test_nothing_is_left_out_where_all_is_the_same_or_other() -> None:
    assert compared("", "") == (Row(kind="same", left_number=1, right_number=1),)
    rows = compared("a\nb", "c")
    assert rows is not None
    assert [row.kind for row in rows] == ["changed", "removed"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("x\n" * 2000, "y"), ("x" * 300_000, "y"), ("a\n" * 1400, "a\nb\n" * 700)],
)
def test_what_would_take_too_long_is_not_compared(old: str, new: str) -> None:
    assert compared(old, new) is None


@pytest.mark.parametrize(
    ("sql", "lines"),
    [
        ("select 1", ["select 1"]),
        (
            "UPDATE t SET a = 1, b = 'x WHERE y' WHERE id BETWEEN 1 AND 2 OR c IN (SELECT d FROM e)",
            [
                "UPDATE t",
                "SET a = 1, b = 'x WHERE y'",
                "WHERE id BETWEEN 1 AND 2",
                "  OR c IN (SELECT d FROM e)",
            ],
        ),
        (
            "SELECT * FROM a LEFT JOIN b ON a.i = b.i ORDER BY 1",
            ["SELECT *", "FROM a", "LEFT JOIN b", "  ON a.i = b.i", "ORDER BY 1"],
        ),
        ("DELETE FROM t -- all of them\nWHERE 1=0", ["DELETE FROM t -- all of them", "WHERE 1=0"]),
        ("INSERT INTO t VALUES ($$a FROM b$$)", ["INSERT INTO t", "VALUES ($$a FROM b$$)"]),
        ("SELECT 'it''s FROM' \"FROM\"", ["SELECT 'it''s FROM' \"FROM\""]),
    ],
)
def test_sql_has_a_clause_a_line_and_its_texts_untouched(sql: str, lines: list[str]) -> None:
    assert formatted(sql).split("\n") == lines
    assert "".join(formatted(sql).split()) == "".join(sql.split())


def test_whole_files_and_edits_are_parts_and_the_exact_arguments_follow() -> None:
    seen = shown(
        Data(value={"path": "a.txt", "content": "x", "old_string": "a", "new_string": "b"})
    )
    assert [(part.heading, part.path) for part in seen.parts] == [
        ("old_string → new_string", "a.txt"),
        ("content", "a.txt"),
    ]
    assert '"content": "x"' in seen.exact


@pytest.mark.parametrize("value", [None, 1, "text", [1], {"edits": 1}, {"path": 1, "sql": 2}])
def test_arguments_of_any_shape_are_shown(value: object) -> None:
    seen = shown(Data(value=value))
    assert seen.parts == ()
    assert seen.exact


def test_what_is_too_long_is_cut_and_said_to_be() -> None:
    seen = shown(Data(value={"content": "x" * (MOST_SHOWN * 2)}))
    assert len(seen.exact) == MOST_SHOWN
    assert seen.left_out > MOST_SHOWN
    assert shown(Data()).is_missing
    assert not shown(None).is_missing


def test_times_are_told_as_people_do() -> None:
    now = 1_800_000_000 * SECOND
    assert ago(now, now) == "just now"
    assert ago(now, now - 90 * SECOND) == "1 min ago"
    assert ago(now, now - 3 * 3600 * SECOND) == "3 h ago"
    assert left(now, now + 3 * 86_400 * SECOND) == "in 3 d"
    assert left(now, now - 10 * SECOND) == "10 s ago"


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("/factor", "/factor"),
        ("/approvals/1?x=y", "/approvals/1?x=y"),
        ("//evil.example", "/approvals"),
        ("/\\evil.example", "/approvals"),
        ("https://evil.example", "/approvals"),
        ("/a\nb", "/approvals"),
        ("", "/approvals"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours(path: str, safe: str) -> None:
    assert safe_path(path) == safe
