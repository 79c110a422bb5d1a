"""What a token says of its bearer becomes attributes, or nothing."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET
from tests.unit.orchestrator.governed import ALLOW, Governed
from tests.unit.orchestrator.rig import on_virtual_time

from stepwell.errors import AlreadyExists
from stepwell.orchestrator.attributes import claimed, decoded, encoded, groups_of
from stepwell.principals import Caller


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("42", ("42",)),
        (42, ("42",)),
        (True, ("true",)),
        (["eu", "us", "eu"], ("eu", "us")),
        (None, None),
        ("", None),
        ([], None),
        (1.5, None),
        ({"a": 1}, None),
        (["eu", {"a": 1}], None),
        (["eu", ""], None),
        ("x" * 257, None),
        ("a\x00", None),
        ([str(number) for number in range(101)], None),
    ],
)
def test_a_claim_becomes_an_attribute_or_nothing(value: Any, texts: tuple[str, ...] | None) -> None:
    expected = {} if texts is None else {"tenant": texts}
    assert claimed({"org": value, "other": "x"}, {"tenant": "org", "gone": "gone"}) == expected


@on_virtual_time
async def test_rows_are_shown_to_who_has_asked_with_the_same_attributes_and_to_people() -> None:
    rig = Governed()
    rig.policy.says = lambda _: ALLOW
    rig.look.sealed = "datasource:shop"
    tenant, other = {"tenant": ("42",)}, {"tenant": ("43",)}
    bot = Caller("default", "agent:bot", attributes=tenant)
    async with rig.serving() as service:
        run = await service.call_tool(bot, "look", {"sum": 7}, request_id="daily")
        assert (await service.wait_run(bot, run.id, timedelta(hours=1))).output is not None

        async def shown(caller: Caller) -> bool:
            views = [
                await service.get_run(caller, run.id),
                await service.wait_run(caller, run.id, timedelta(hours=1)),
            ]
            found = {view.output is not None and view.output.value is not UNSET for view in views}
            return found == {True}

        assert await shown(bot)
        assert await shown(Caller("default", "user:ann"))
        assert not await shown(Caller("default", "agent:bot", attributes=other))
        assert not await shown(Caller("default", "agent:bot"))
        assert not await shown(Caller("default", "agent:local"))
        assert not await shown(Caller("default", "service:export", attributes=tenant))
        with pytest.raises(AlreadyExists):
            await service.call_tool(
                Caller("default", "agent:bot", attributes=other),
                "look",
                {"sum": 7},
                request_id="daily",
            )


@on_virtual_time
async def test_a_call_and_what_it_starts_know_the_attributes_of_who_began() -> None:
    rig = Governed()
    rig.policy.says = lambda _: ALLOW
    known = {"tenant": ("42",)}
    bot = Caller("default", "agent:bot", attributes=known)
    child = "workflow: child\nnodes: [{ id: look, tool: look }]"
    parent = "workflow: parent\nnodes: [{ id: sub, workflow: child }]"
    async with rig.serving() as service:
        await rig.put_graph(child)
        await rig.put_graph(parent)
        call = await service.call_tool(bot, "look", {})
        run, _ = await service.start_run(bot, "parent", {})
        plain = await service.call_tool(Caller("default", "agent:bot"), "look", {})
        for one in (call, run, plain):
            await service.wait_run(bot, one.id, timedelta(hours=1))
    seen = {context.run: context.attributes for _, context in rig.look.calls}
    assert seen.pop(plain.id) == {}
    assert [*seen.values()] == [known, known]


def test_attributes_are_kept_as_they_are() -> None:
    known = {"tenant": ("42",), "groups": ("a", "b")}
    assert decoded(encoded(known)) == known
    assert groups_of(known) == {"a", "b"}
    assert groups_of({}) == frozenset()
