"""The ids of what is in flight: the same whoever asks, and when."""

from uuid import RFC_4122, UUID

from tests.unit.engine.story import RUN

from stepwell.engine.commands import child_run


def test_a_child_has_the_same_id_whoever_starts_it() -> None:
    assert child_run(RUN, "order", 2) == "d9b22a13-013f-8efa-811f-1f384d359fca"


def test_the_id_of_a_child_is_a_uuid_of_version_eight() -> None:
    for attempt in range(50):
        id = UUID(child_run(RUN, "order", attempt))
        assert (id.version, id.variant) == (8, RFC_4122)
