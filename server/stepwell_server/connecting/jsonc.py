"""JSON with comments, edited in one place: everything else stays byte for byte as it was."""

import json
import re
from typing import Any, Final

from stepwell.errors import Code, InvalidRequest

_WORD: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING: Final = re.compile(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])')
_SPACE: Final = re.compile(r"\s*")
_INDENT: Final = re.compile(r"\n([ \t]+)\"")


class Document:
    """The text of a file whose root is an object."""

    def __init__(self, text: str, name: str) -> None:
        """Reads a text; `name` is the file, for messages.

        Raises:
            InvalidRequest: it is no JSON, or its root is no object.
        """
        self.text = text
        self._name = name
        self._plain = _without_comments(text)
        self._begin = 1 if self._plain.startswith("\ufeff") else 0
        plain = self._plain[self._begin :]
        try:
            self.value: dict[str, Any] = json.loads(plain) if plain.strip() else {}
        except json.JSONDecodeError as error:
            raise _wrong(f"{name}, line {error.lineno}: this is not JSON: {error.msg}") from error
        except RecursionError as error:
            raise _wrong(f"{name} is nested too deeply") from error
        if not isinstance(self.value, dict):
            raise _wrong(f"{name} holds no JSON object")

    def with_member(self, key: str, value: object) -> str:
        """The text with this value at a key of the root, in the place of what is there."""
        found = self._span(key)
        if found is not None:
            begin, end = found
            return self.text[:begin] + self._written(value) + self.text[end:]
        if not self.text[self._begin :].strip():
            return self._lines(json.dumps({key: value}, indent=2, ensure_ascii=False) + "\n")
        brace = self._plain.index("{", self._begin) + 1
        member = f"{self._newline}{self._indent}{json.dumps(key)}: {self._written(value)}"
        if self.value:
            member += ","
        elif self._newline not in self.text[brace:]:
            member += self._newline
        return self.text[:brace] + member + self.text[brace:]

    def comments_in(self, key: str) -> bool:
        """Whether there are comments in the value at a key, which a new value would lose."""
        found = self._span(key)
        if found is None:
            return False
        begin, end = found
        return any(not word[0].startswith('"') for word in _WORD.finditer(self.text[begin:end]))

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _indent(self) -> str:
        found = _INDENT.search(self._plain)
        return found[1] if found else "  "

    def _written(self, value: object) -> str:
        """A value as a member of the root is written."""
        text = json.dumps(value, indent=self._indent, ensure_ascii=False)
        return self._lines(text.replace("\n", f"\n{self._indent}"))

    def _lines(self, text: str) -> str:
        return text.replace("\n", self._newline)

    def _span(self, key: str) -> tuple[int, int] | None:
        """Where the value at a key of the root begins and ends; the last one counts."""
        decode, plain = json.JSONDecoder().raw_decode, self._plain
        at = _skip(plain, self._begin) + 1
        found = None
        while (at := _skip(plain, at)) < len(plain) and plain[at] != "}":
            if plain[at] == ",":
                at += 1
                continue
            name, at = decode(plain, at)
            begin = _skip(plain, _skip(plain, at) + 1)
            _, at = decode(plain, begin)
            if name == key:
                found = (begin, at)
        return found


def _without_comments(text: str) -> str:
    """The text with a space for each character of a comment and each last comma."""

    def blank(found: re.Match[str]) -> str:
        word = found[0]
        return word if word.startswith('"') else re.sub(r"[^\n]", " ", word)

    plain = _WORD.sub(blank, text)
    return _TRAILING.sub(lambda found: found[1] or " ", plain)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(message, code=Code.INVALID_CONFIG)
