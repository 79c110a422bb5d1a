"""Laws of the times at which schedules fire."""

from itertools import islice
from zoneinfo import available_timezones

from hypothesis import given
from hypothesis import strategies as st

from stepwell.errors import InvalidRequest
from stepwell.orchestrator.fires import Fires

DAY = 86_400_000_000
TIMES = st.integers(1_700_000_000, 2_100_000_000).map(lambda second: second * 1_000_000)
# fmt: off
CRONS = st.sampled_from([
    "* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 * * *", "0 2,3 29-31 3,10 *", "0 0 L * *",
    "0 */5 * * *", "59 23 * * 5#1", "0 0 29 2 *", "*/20 30 1-3 * * *",
])
# fmt: on
ZONES = st.sampled_from(sorted(available_timezones()))
JITTERS = st.integers(0, 2 * DAY)


@given(CRONS, ZONES, JITTERS, TIMES)
def test_fires_follow_each_other_and_none_is_forgotten(
    cron: str, zone: str, jitter: int, at: int
) -> None:
    fires = Fires(cron, zone, jitter=jitter, seed="s")
    found = list(islice(fires.following(at), 5))
    assert found == sorted(set(found))
    assert found[0] > at
    assert [fires.after(before) for before in (at, *found)][:5] == found
    assert fires.last(found[0], found[3], most=10) == found[3]


@given(CRONS, ZONES, JITTERS, TIMES, st.integers(0, 10 * DAY))
def test_whoever_asks_from_later_on_is_told_the_same_fires(
    cron: str, zone: str, jitter: int, at: int, later: int
) -> None:
    fires = Fires(cron, zone, jitter=jitter, seed="s")
    missed = [fire for fire in islice(fires.following(at), 50) if fire > at + later]
    assert missed == list(islice(fires.following(at + later), len(missed)))


WORDS = st.sampled_from(["*", "/", ",", "-", "#", "L", "W", "MON", "JAN", "0", "31", "7", " ", "²"])


@given(st.text(max_size=30) | st.lists(WORDS, max_size=30).map("".join), st.just("UTC") | st.text())
def test_anything_is_a_schedule_or_refused_in_one_way(cron: str, zone: str) -> None:
    try:
        fires = Fires(cron, zone)
    except InvalidRequest:
        return
    assert fires.after(0) is not None
