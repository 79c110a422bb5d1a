"""What a client chooses by URL and headers, and what is in it then."""

from typing import Any

import pytest

from stepwell.config import ToolsetSettings
from stepwell.errors import Code, InvalidRequest, SetupError
from stepwell_mcp.selection import EVERYTHING, Choice, Offering, Selection, selected

SHOP = Offering(
    {
        "orders": ToolsetSettings(tools=("order_*", "refund")),
        "looking": ToolsetSettings(tools=("*",), read_only=True),
        "notes": ToolsetSettings(tools=("note?",)),
    }
)


def scope(url: str = "", /, *, may_only_read: bool = False, **headers: str) -> dict[str, Any]:
    """A request: `url` are the toolsets of its URL, which may say that it reads only."""
    path = {"toolsets": url} if url else {}
    return {
        "headers": [
            (b"host", b"localhost"),
            *((f"x-mcp-{name}".encode(), text.encode()) for name, text in headers.items()),
        ],
        "path_params": {**path, **({"readonly": "true"} if may_only_read else {})},
    }


def admitted(chosen: Selection, **tools: bool) -> set[str]:
    view = SHOP.view(chosen)
    return {name for name, is_reader in tools.items() if view.admits(name, reads_only=is_reader)}


def test_who_says_nothing_has_chosen_everything() -> None:
    assert selected(scope()) is EVERYTHING
    assert SHOP.view(EVERYTHING).is_everything


def test_a_toolset_holds_what_its_patterns_name() -> None:
    given = {"order_list": False, "order": False, "refund": False, "note1": False, "note10": False}
    assert admitted(selected(scope("orders")), **given) == {"order_list", "refund"}
    assert admitted(selected(scope("notes")), **given) == {"note1"}


def test_several_toolsets_and_single_tools_are_taken_together() -> None:
    chosen = selected(scope(toolsets="orders, notes", tools="mail"))
    assert chosen == Selection((Choice(("orders", "notes"), ("mail",)),))
    given = {"refund": False, "note1": False, "mail": False, "mails": False}
    assert admitted(chosen, **given) == {"refund", "note1", "mail"}


def test_a_header_brings_nothing_back_that_the_url_leaves_out() -> None:
    chosen = selected({**scope("orders"), "headers": [(b"x-mcp-tools", b"refund,mail")]})
    assert admitted(chosen, refund=False, order_list=False, mail=False) == {"refund"}
    chosen = selected(scope("orders", may_only_read=True, readonly="false"))
    assert chosen.read_only


def test_a_client_that_reads_only_is_given_nothing_else() -> None:
    for chosen in (selected(scope(may_only_read=True)), selected(scope(readonly="True"))):
        assert admitted(chosen, look=True, drop=False) == {"look"}


def test_a_toolset_that_reads_only_leaves_others_as_they_are() -> None:
    assert admitted(selected(scope("looking")), look=True, refund=False) == {"look"}
    assert admitted(selected(scope("looking,orders")), look=True, refund=False) == {
        "look",
        "refund",
    }


def test_what_follows_runs_comes_with_any_choice_and_stops_none_that_may_only_be_read() -> None:
    for toolset, may_stop in (("orders", True), ("looking", False)):
        view = SHOP.view(selected(scope(toolset)))
        assert view.admits("run_get", reads_only=True, kind="follow")
        assert view.admits("run_cancel", reads_only=False, kind="follow") is may_stop
    reading = SHOP.view(selected(scope(may_only_read=True)))
    assert not reading.admits("run_cancel", reads_only=False, kind="follow")


def test_the_toolset_all_is_everything() -> None:
    assert SHOP.view(selected(scope("all"))).is_everything
    assert admitted(selected(scope("all,notes")), refund=False) == {"refund"}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"toolsets": "order"}, "there is no toolset 'order'; did you mean 'orders'?"),
        ({"toolsets": "zzz"}, "there is no toolset 'zzz'; `stepwell toolset list` shows"),
        ({"toolsets": " , "}, "x-mcp-toolsets names nothing"),
        ({"tools": ",".join(map(str, range(1001)))}, "x-mcp-tools names more than 1000"),
        ({"readonly": "maybe"}, "x-mcp-readonly must be true or false, it is 'maybe'"),
        ({"surface": "serach"}, "must be one of auto, full, search, it is 'serach'"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(headers: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SHOP.view(selected(scope("", may_only_read=False, **headers)))
    assert said in refused.value.message


def test_a_choice_that_is_said_twice_is_refused() -> None:
    twice = [(b"x-mcp-readonly", b"true"), (b"x-mcp-readonly", b"false")]
    with pytest.raises(InvalidRequest):
        selected({"headers": twice, "path_params": {}})


@pytest.mark.parametrize("name", ["", "all", "a,b", "a/b", " ", "-a", "a" * 65])
def test_a_toolset_whose_name_nobody_could_say_is_refused(name: str) -> None:
    with pytest.raises(SetupError) as refused:
        Offering({name: ToolsetSettings()})
    assert refused.value.code is Code.INVALID_CONFIG


def test_a_toolset_without_names_holds_all_that_it_may() -> None:
    offering = Offering({"any": ToolsetSettings(read_only=True)})
    view = offering.view(Selection((Choice(("any",)),)))
    assert view.admits("look", reads_only=True)
    assert not view.admits("drop", reads_only=False)
