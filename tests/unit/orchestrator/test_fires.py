"""When schedules fire, also on the days on which the clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from stepwell.engine.instants import instant, instant_text
from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.fires import Fires

HOUR = 3_600_000_000


def local(fires: Fires, after: str, count: int) -> list[str]:
    """The next fires by the clocks of Berlin, with their offset."""
    zone = ZoneInfo("Europe/Berlin")
    found = islice(fires.following(instant(after)), count)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [f"{(epoch + timedelta(microseconds=at)).astimezone(zone):%d %H:%M%z}" for at in found]


def refused(cron: str, zone: str = "UTC") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as error:
        Fires(cron, zone)
    assert error.value.code is Code.INVALID_REQUEST
    return error.value


def test_a_schedule_fires_by_the_clocks_of_its_zone() -> None:
    fires = Fires("30 9 * * 1-5", "Europe/Berlin")
    assert local(fires, "2026-10-23T00:00:00Z", 3) == [
        "23 09:30+0200",
        "26 09:30+0100",
        "27 09:30+0100",
    ]


def test_a_fire_is_later_than_what_is_asked_for() -> None:
    fires = Fires("0 9 * * *", "UTC")
    nine = instant("2026-03-01T09:00:00Z")
    assert fires.after(nine - 1) == nine
    assert instant_text(fires.after(nine) or 0) == "2026-03-02T09:00:00Z"


def test_six_fields_begin_with_the_second() -> None:
    assert instant_text(Fires("15 0 9 * * *", "UTC").after(0) or 0) == "1970-01-01T09:00:15Z"


# --- the clocks of Berlin: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00 ---


def test_a_time_that_the_spring_leaves_out_is_made_up_for_after_the_gap() -> None:
    fires = Fires("30 2 * * *", "Europe/Berlin")
    assert local(fires, "2026-03-27T12:00:00Z", 3) == [
        "28 02:30+0100",
        "29 03:00+0200",
        "30 02:30+0200",
    ]


def test_two_times_that_become_one_in_spring_fire_once() -> None:
    fires = Fires("0 2,3 * * *", "Europe/Berlin")
    assert local(fires, "2026-03-28T12:00:00Z", 3) == [
        "29 03:00+0200",
        "30 02:00+0200",
        "30 03:00+0200",
    ]


def test_a_time_that_comes_twice_in_autumn_fires_the_first_time() -> None:
    fires = Fires("30 2 * * *", "Europe/Berlin")
    assert local(fires, "2026-10-24T12:00:00Z", 2) == ["25 02:30+0200", "26 02:30+0100"]


def test_what_is_asked_for_in_the_second_of_two_equal_hours_lies_after_it() -> None:
    fires = Fires("30 2 * * *", "Europe/Berlin")
    assert local(fires, "2026-10-25T01:10:00Z", 1) == ["26 02:30+0100"]


def test_a_rhythm_goes_on_by_real_time() -> None:
    fires = Fires("*/30 * * * *", "Europe/Berlin")
    assert local(fires, "2026-03-29T00:15:00Z", 3) == [
        "29 01:30+0100",
        "29 03:00+0200",
        "29 03:30+0200",
    ]
    assert local(fires, "2026-10-25T00:15:00Z", 4) == [
        "25 02:30+0200",
        "25 02:00+0100",
        "25 02:30+0100",
        "25 03:00+0100",
    ]


# --- jitter ---


def test_jitter_moves_each_fire_by_less_than_itself_and_everywhere_by_the_same() -> None:
    plain = Fires("0 * * * *", "UTC").following(-1)
    here, there = (
        list(islice(Fires("0 * * * *", "UTC", jitter=HOUR // 2, seed="a").following(-1), 100))
        for _ in "xy"
    )
    moved = [fire - planned for fire, planned in zip(here, plain, strict=False)]
    assert here == there
    assert all(0 <= it < HOUR // 2 for it in moved)
    assert len(set(moved)) > 90


def test_jitter_is_another_for_another_schedule() -> None:
    one, other = (Fires("0 * * * *", "UTC", jitter=HOUR, seed=seed).after(0) for seed in "ab")
    assert one != other


def test_jitter_moves_no_fire_past_the_next_one() -> None:
    fires = list(islice(Fires("* * * * *", "UTC", jitter=24 * HOUR, seed="a").following(-1), 200))
    assert [fire // 60_000_000 for fire in fires] == list(range(200))


def test_a_fire_that_is_moved_is_still_to_come_after_its_planned_time() -> None:
    fires = Fires("0 * * * *", "UTC", jitter=HOUR, seed="a")
    first = next(fires.following(-1))
    assert first > 1
    assert fires.after(first - 1) == first


# --- what is no schedule ---


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("61 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 */31 * MON#5", "no day is like this"),
        ("* * * *", "wrong number of fields"),
        ("@daily", "wrong number of fields"),
        ("", "wrong number of fields"),
        ("*" * 201, "it has more than 200 characters"),
    ],
)
def test_an_expression_that_never_fires_is_refused_with_what_is_wrong(cron: str, why: str) -> None:
    error = refused(cron)
    assert error.detail == {"cron": why}
    assert f"ever fires: {why}" in error.message
    assert "like '30 9 * * 1-5'" in error.message


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("berlin", "did you mean Europe/Berlin?"),
        ("utc", "did you mean UTC?"),
        ("", "take one like Europe/Berlin, or UTC"),
        ("../../etc/passwd", "take one like Europe/Berlin, or UTC"),
        ("x" * 300, "take one like Europe/Berlin, or UTC"),
        ("zone.tab", "take one like Europe/Berlin, or UTC"),
    ],
)
def test_a_zone_that_is_not_there_is_refused_with_the_nearest(zone: str, hint: str) -> None:
    error = refused("* * * * *", zone)
    assert error.message.endswith(hint)
    assert list(error.detail) == ["zone"]
