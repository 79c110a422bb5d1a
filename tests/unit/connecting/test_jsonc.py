"""JSON with comments, edited in one place."""

import pytest

from stepwell.errors import InvalidRequest
from stepwell_server.connecting.jsonc import Document

COMMENTED = """\
// my servers
{
  "inputs": [ /* none, yet */ ], // "servers": {}
  "servers": {
    "files": { "command": "npx", "args": ["-y", "a//b", "c/*d*/"], }, // the files
  },
  "other": "kept, \\"as\\" it is",
}
"""


def test_everything_but_the_value_stays_as_it_was() -> None:
    document = Document(COMMENTED, "mcp.json")
    assert document.value["servers"]["files"]["args"] == ["-y", "a//b", "c/*d*/"]
    edited = document.with_member("servers", {"stepwell": {"command": "stepwell"}})
    assert edited == COMMENTED.replace(
        """{
    "files": { "command": "npx", "args": ["-y", "a//b", "c/*d*/"], }, // the files
  }""",
        """{
    "stepwell": {
      "command": "stepwell"
    }
  }""",
    )
    assert Document(edited, "mcp.json").value["servers"] == {"stepwell": {"command": "stepwell"}}
    assert document.comments_in("servers")
    assert not document.comments_in("other")
    assert not document.comments_in("none")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "{}",
        "{ }\n",
        '{"a": 1}',
        '{\n\t"a": 1\n}\n',
        "\ufeff{\r\n    // none\r\n}\r\n",
        '{"servers": 1, "a": {"servers": 2}}',
        '{"servers": 1, "servers": 2}',
        "{ // nothing\n}",
    ],
)
def test_a_member_is_put_wherever_there_is_room_for_it(text: str) -> None:
    before = Document(text, "x").value
    edited = Document(text, "x").with_member("servers", {"a": {"b": []}})
    assert Document(edited, "x").value == {**before, "servers": {"a": {"b": []}}}
    assert ("\r\n" in text) == ("\r\n" in edited)


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"a" 1}', "nothing", '{"a": 1} {"b": 2}', "[" * 9999]
)
def test_what_is_no_object_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"mcp\.json"):
        Document(text, "mcp.json")
