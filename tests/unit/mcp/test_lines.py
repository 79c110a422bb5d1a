"""How a stream of bytes becomes lines."""

from stepwell_mcp.lines import LineSplitter


def split(*chunks: bytes, limit: int = 100) -> list[bytes | None]:
    splitter = LineSplitter(limit)
    return [line for chunk in chunks for line in splitter.feed(chunk)]


def test_lines_are_found_wherever_the_chunks_are_cut() -> None:
    text = b'{"a":1}\n\n{"b":2}\n'
    for cut in range(len(text)):
        assert split(text[:cut], text[cut:]) == [b'{"a":1}', b"", b'{"b":2}']


def test_a_line_without_an_end_waits_for_it() -> None:
    splitter = LineSplitter(100)
    assert list(splitter.feed(b"half")) == []
    assert splitter.end() == b"half"
    assert splitter.end() == b""


def test_a_line_over_the_limit_is_reported_once_and_the_next_one_is_whole() -> None:
    assert split(b"x" * 60, b"x" * 60, b"x\nnext\n") == [None, b"next"]


def test_a_line_of_just_the_limit_is_a_line() -> None:
    assert split(b"x" * 100 + b"\n") == [b"x" * 100]
