"""A row holds the events of one append by one principal, up to what a reader should have to take."""

from stepwell_storage.records import Record
from stepwell_storage.sql.rows import MOST_BYTES, MOST_EVENTS, joined, split


def records(*bodies: bytes, principal: str = "user:ann", first: int = 1) -> list[Record]:
    return [
        Record(sequence, f"kind_{sequence}", principal, body)
        for sequence, body in enumerate(bodies, first)
    ]


def test_one_event_is_its_own_row_as_it_is() -> None:
    alone = records(b'{"a":1}', first=7)

    assert joined(alone) == [(7, "kind_7", "user:ann", b'{"a":1}')]
    assert split(*joined(alone)[0]) == alone


def test_events_of_one_principal_share_a_row_that_is_named_by_the_last() -> None:
    together = records(b'{"a":1}', b"{}", b'{"b":[2]}', first=4)

    assert joined(together) == [(6, "kind_4 kind_5 kind_6", "user:ann", b'[{"a":1},{},{"b":[2]}]')]
    assert split(*joined(together)[0]) == together


def test_another_principal_begins_another_row() -> None:
    mixed = [*records(b"{}", b"{}"), *records(b"{}", principal="user:bob", first=3)]

    assert [row[:3] for row in joined(mixed)] == [
        (2, "kind_1 kind_2", "user:ann"),
        (3, "kind_3", "user:bob"),
    ]


def test_a_row_has_a_most_of_events() -> None:
    many = records(*[b"{}"] * (2 * MOST_EVENTS + 1))

    assert [row[0] for row in joined(many)] == [MOST_EVENTS, 2 * MOST_EVENTS, 2 * MOST_EVENTS + 1]
    assert [record for row in joined(many) for record in split(*row)] == many


def test_a_row_has_a_most_of_bytes_unless_one_event_has_more() -> None:
    half = b'"%s"' % (b"x" * (MOST_BYTES // 2 - 2))
    large = b'"%s"' % (b"x" * MOST_BYTES)
    rows = joined(records(half, half, b"{}", large, b"{}"))

    assert [row[0] for row in rows] == [2, 3, 4, 5]
    assert rows[2][3] == large
