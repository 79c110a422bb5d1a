"""Many values go into statements that a database accepts."""

from stepwell_storage.sql.shares import MOST_VALUES, shares


def test_all_values_come_in_order_and_none_twice() -> None:
    for count in (0, 1, MOST_VALUES, MOST_VALUES + 1, 3 * MOST_VALUES):
        found = list(shares(range(count)))
        assert [value for share in found for value in share] == list(range(count))
        assert all(0 < len(share) <= MOST_VALUES for share in found)
