"""Tool names, there and back."""

from stepwell.engine.messages import Message, ToolRequest
from stepwell.llm.port import ModelRequest, ToolOffer
from stepwell.llm.tool_names import ToolNames


def names_of(*offered: str, called: tuple[str, ...] = ()) -> ToolNames:
    offers = tuple(ToolOffer(name=name, description="", schema={}) for name in offered)
    tools = tuple(ToolRequest(id=name, name=name) for name in called)
    message = Message(role="assistant", tools=tools)
    return ToolNames(ModelRequest(messages=(message,), tools=offers))


def test_names_that_are_allowed_stay_as_they_are() -> None:
    names = names_of("db_query", "read-file")

    assert names.outward("db_query") == "db_query"
    assert names.inward("read-file") == "read-file"


def test_names_that_would_become_one_are_told_apart() -> None:
    names = names_of("chat.post", "chat_post", called=("chat/post",))

    outward = [names.outward(name) for name in ("chat.post", "chat_post", "chat/post")]
    assert outward == ["chat_post", "chat_post_2", "chat_post_3"]
    assert [names.inward(name) for name in outward] == ["chat.post", "chat_post", "chat/post"]


def test_long_names_are_cut_and_still_told_apart() -> None:
    first, second = "a" * 70, "a" * 71
    names = names_of(first, second)

    assert (len(names.outward(first)), len(names.outward(second))) == (64, 64)
    assert names.inward(names.outward(second)) == second


def test_a_name_that_was_never_offered_stays_as_the_model_said_it() -> None:
    assert names_of("db_query").inward("invented") == "invented"
