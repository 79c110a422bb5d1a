"""What tools, resources and prompts return, as the log holds it."""

import base64

import pytest

from stepwell.errors import Code
from stepwell.tools.content import (
    Audio,
    Content,
    EmbeddedResource,
    Image,
    Message,
    ResourceLink,
    Text,
    prompt_value,
    resource_value,
    tool_value,
)
from stepwell.tools.port import ToolFailed

PNG = b"\x89PNG"
PNG_TEXT = base64.b64encode(PNG).decode()


def test_blocks_are_kept_as_mcp_spells_them() -> None:
    result = Content(
        "hello",
        Image(PNG),
        Audio(b"RIFF", audience=("user",), priority=0.5),
        EmbeddedResource("test://a", "text", "text/plain"),
        ResourceLink("test://b", "b", size=3),
        structured={"n": 1},
        meta={"shop/x": 2},
    )
    assert tool_value(result) == {
        "content": [
            {"type": "text", "text": "hello"},
            {"type": "image", "data": PNG_TEXT, "mimeType": "image/png"},
            {
                "type": "audio",
                "data": "UklGRg==",
                "mimeType": "audio/wav",
                "annotations": {"audience": ["user"], "priority": 0.5},
            },
            {
                "type": "resource",
                "resource": {"uri": "test://a", "mimeType": "text/plain", "text": "text"},
            },
            {"type": "resource_link", "uri": "test://b", "name": "b", "size": 3},
        ],
        "structuredContent": {"n": 1},
        "_meta": {"shop/x": 2},
    }


def test_one_block_or_a_list_of_them_is_content_too() -> None:
    text = {"type": "text", "text": "a"}
    assert tool_value(Text("a")) == {"content": [text]}
    assert tool_value([Text("a"), "a"]) == {"content": [text, text]}


@pytest.mark.parametrize("plain", [None, "a", 1, ["a"], [], {"content": "a"}, (1, 2)])
def test_plain_data_stays_what_it_is(plain: object) -> None:
    assert tool_value(plain) is plain


def test_what_is_no_block_among_blocks_is_refused() -> None:
    with pytest.raises(ToolFailed, match="type int stands among blocks") as caught:
        tool_value([Text("a"), 1])
    assert caught.value.code is Code.INVALID_RESULT


@pytest.mark.parametrize(
    ("returned", "contents"),
    [
        ("a", [{"text": "a"}]),
        (PNG, [{"blob": PNG_TEXT}]),
        ({"a": 1}, [{"text": '{"a":1}', "mimeType": "application/json"}]),
        ([], [{"text": "[]", "mimeType": "application/json"}]),
        (EmbeddedResource("a:b", "c"), [{"uri": "a:b", "text": "c"}]),
        (
            [EmbeddedResource("a:b", "c"), EmbeddedResource("a:d", b"", "x/y")],
            [{"uri": "a:b", "text": "c"}, {"uri": "a:d", "mimeType": "x/y", "blob": ""}],
        ),
    ],
)
def test_a_resource_is_a_text_bytes_or_data(returned: object, contents: object) -> None:
    assert resource_value(returned) == {"contents": contents}


@pytest.mark.parametrize("returned", [None, object(), {1j}])
def test_a_resource_that_is_nothing_is_refused(returned: object) -> None:
    with pytest.raises(ToolFailed, match="the resource returned"):
        resource_value(returned)


def test_a_prompt_is_one_message_or_several() -> None:
    user = {"role": "user", "content": {"type": "text", "text": "a"}}
    assistant = {"role": "assistant", "content": {"type": "text", "text": "b"}}
    assert prompt_value("a") == {"messages": [user]}
    assert prompt_value(["a", Message("b", role="assistant")]) == {"messages": [user, assistant]}


@pytest.mark.parametrize("returned", [None, [], 1, [1]])
def test_a_prompt_without_a_message_is_refused(returned: object) -> None:
    with pytest.raises(ToolFailed, match="the prompt returned"):
        prompt_value(returned)
