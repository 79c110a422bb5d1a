"""What is printed was often written by others: nothing in it acts on a terminal."""

from typing import Any

import pytest

from stepwell.errors import InvalidRequest
from stepwell_server.cli.outcome import print_outcome
from stepwell_server.cli.output import Output

HOSTILE = "\x1b]0;pwned\x07\u202egoods"
SEEN = "\\u001b]0;pwned\\u0007\\u202egoods"


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    return out + err


def test_names_and_texts_of_others_are_written_as_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output()
    output.table(("name",), [(HOSTILE,)], empty="")
    output.pairs([("tables", f"{HOSTILE}\nsecond line")])
    output.note(HOSTILE)
    output.row(HOSTILE)
    output.error(InvalidRequest(f"no table {HOSTILE}", detail={"field": f"{HOSTILE}!"}))
    said = printed(capsys)
    assert said.count(SEEN) == 6
    assert "second line" in said
    assert not set(said) & {"\x1b", "\x07", "\u202e"}


def test_a_program_reads_json_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).document({"name": "\u202egoods"})
    assert "\u202egoods" in printed(capsys)


def test_on_a_terminal_json_holds_nothing_that_acts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    Output(json=True).document({"name": "\u202egoods\x9b"})
    assert '"\\u202egoods\\u009b"' in printed(capsys)


def test_a_reading_that_a_model_has_named_is_quoted_for_a_shell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options: list[dict[str, Any]] = [{"reading": f"x; rm -rf ~ {HOSTILE}", "meaning": HOSTILE}]
    print_outcome({"outcome": "clarify", "question": HOSTILE, "options": options}, Output(), "")
    said = printed(capsys)
    assert f"--reading 'x; rm -rf ~ {SEEN}'" in said
    assert "\x1b" not in said


def test_a_field_that_the_message_tells_already_is_not_told_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the wire what is said of a field is cut where it is long."""
    detail = {"url": "postgres is a superuser: no gra…", "name": "it is taken"}
    Output().error(InvalidRequest("postgres is a superuser: no grant holds it", detail=detail))
    assert capsys.readouterr().err.splitlines() == [
        "error postgres is a superuser: no grant holds it",
        "  name: it is taken",
        "INVALID_REQUEST",
    ]
