import gc
from collections.abc import Iterator

import pytest

from stepwell.garbage import not_collected, rarely_collected


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The suite has set itself aside: nothing is looked for among its tests."""
    gc.collect()
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


def test_what_is_there_before_the_runs_is_set_aside_while_they_last() -> None:
    with rarely_collected():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_was_set_aside_before_the_runs_stays_so_after_them() -> None:
    with not_collected():
        assert not gc.isenabled()
    assert gc.isenabled()
    set_aside = gc.get_freeze_count()
    with rarely_collected():
        assert gc.get_freeze_count() == set_aside
    assert gc.get_freeze_count() == set_aside > 0
