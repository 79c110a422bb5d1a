"""How many a queue may let in, and when the next may follow."""

import pytest

from stepwell_storage.admission import UNLIMITED, Admissions, Room
from stepwell_storage.records import QueueRow


def room(
    concurrency: int | None = None,
    rate: int | None = None,
    *,
    running: int = 0,
    recent: tuple[tuple[int, int], ...] = (),
) -> Room:
    row = QueueRow("q", concurrency, rate, None if rate is None else 1000, 1)
    return Room(row, running, tuple(Admissions(*it) for it in recent))


@pytest.mark.parametrize(
    ("given", "free"),
    [
        (room(), UNLIMITED),
        (room(running=1000), UNLIMITED),
        (room(3), 3),
        (room(3, running=2), 1),
        (room(3, running=5), 0),
        (room(0), 0),
        (room(rate=4), 4),
        (room(rate=4, recent=((10, 1), (20, 2))), 1),
        (room(rate=4, recent=((10, 9),)), 0),
        (room(2, 4, running=1, recent=((10, 1),)), 1),
        (room(9, 4, running=1, recent=((10, 3),)), 1),
    ],
)
def test_both_limits_hold(given: Room, free: int) -> None:
    assert given.free == free


@pytest.mark.parametrize(
    ("given", "at"),
    [
        (room(), None),
        (room(3, running=3), None),
        (room(rate=0), None),
        (room(rate=0, recent=((10, 5),)), None),
        (room(rate=2, recent=((10, 2),)), 1010),
        (room(rate=2, recent=((30, 1), (10, 1))), 1010),
        (room(rate=1, recent=((10, 1), (30, 1))), 1030),  # it was 2 until lately
        (room(5, 2, running=2, recent=((10, 2),)), 1010),
        (room(2, 2, running=2, recent=((10, 2),)), None),
    ],
)
def test_time_alone_lets_in_where_only_the_rate_is_used_up(given: Room, at: int | None) -> None:
    assert given.next_place() == at


def test_who_was_just_admitted_counts() -> None:
    after = room(5, 2, running=1, recent=((10, 1),)).after(1, now=70)

    assert (after.free, after.running, after.next_place()) == (0, 2, 1010)
