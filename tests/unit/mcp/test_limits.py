"""How much one principal may ask."""

from stepwell.principals import LOCAL_AGENT, Caller
from stepwell_mcp import limits
from stepwell_mcp.limits import Limits

ANN = Caller("default", "agent:ann")
BOB = Caller("default", "agent:bob")


def test_a_few_requests_come_at_once_and_the_rest_at_the_rate() -> None:
    asked = Limits(rate=60)
    assert [asked.turn(ANN, 100.0) for _ in range(11)] == [0.0] * 10 + [1.0]
    assert asked.turn(ANN, 101.0) == 0.0
    assert asked.turn(ANN, 101.0) == 1.0
    assert asked.turn(BOB, 101.0) == 0.0


def test_a_slow_rate_lets_one_pass_at_a_time() -> None:
    asked = Limits(rate=1)
    assert (asked.turn(ANN, 0.0), asked.turn(ANN, 20.0), asked.turn(ANN, 60.0)) == (0.0, 40.0, 0.0)


def test_nobody_is_limited_without_a_rate_nor_who_is_at_this_machine() -> None:
    assert {Limits(rate=0).turn(ANN, 0.0) for _ in range(1000)} == {0.0}
    asked = Limits(rate=1)
    assert {asked.turn(LOCAL_AGENT, 0.0) for _ in range(1000)} == {0.0}


def test_the_same_name_in_another_namespace_is_somebody_else() -> None:
    asked = Limits(streams=1)
    assert asked.enter(ANN)
    assert not asked.enter(ANN)
    assert asked.enter(Caller("elsewhere", "agent:ann"))
    asked.leave(ANN)
    assert asked.enter(ANN)


def test_no_more_principals_are_kept_in_mind_than_may_be() -> None:
    asked = Limits(rate=60)
    for number in range(limits.MOST_KNOWN + 100):
        asked.turn(Caller("default", f"agent:{number}"), float(number))
    assert len(asked._next) <= limits.MOST_KNOWN
