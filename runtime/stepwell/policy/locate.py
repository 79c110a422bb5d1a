"""Where in a rule something is wrong: Cedar says what, and never where.

A word that its message quotes is looked for. Otherwise the rule is tried in parts: the shortest
beginning of it that has the same problem ends with what is wrong.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from stepwell.policy.source import Statement, Token

END: Final = "unexpected end of input"
_QUOTED: Final = re.compile(r"`([^`]*)`|: (\w+)$")
_WORD: Final = re.compile(r'"((?:\\.|[^"\\])*)"|([A-Za-z_][A-Za-z0-9_]*)')


def syntax_place(statement: Statement, message: str, parse: Callable[[str], str]) -> Token:
    """The token at which a rule that cannot be parsed goes wrong.

    `parse` gives the message of Cedar for a text, "" where it can be parsed.
    """
    tokens = statement.tokens
    if message == END:
        return tokens[-1]
    if not message.startswith(("unexpected token", "invalid token")):
        named = _named(tokens, message)
        return named or statement.head
    good, bad = 0, len(tokens)  # a beginning of so many tokens could go on, and could not
    while bad - good > 1:
        middle = (good + bad) // 2
        if parse(_text(statement, tokens[:middle])) in ("", END):
            good = middle
        else:
            bad = middle
    return tokens[bad - 1]


def type_place(
    statement: Statement, message: str, has_problem: Callable[[str], bool]
) -> tuple[Token, Token]:
    """The first and the last token of what a rule has that does not fit its types."""
    if (named := _named(statement.tokens, message)) is not None:
        return named, named
    for first, last, text in _parts(statement):
        if has_problem(text):
            return first, last
    return statement.head, statement.head


def part_of(token: Token, start: int, end: int) -> Token:
    """A part of what stands in a string; all of it where signs are written another way there."""
    if "\\" in token.text or not start < end <= len(token.text) - 2:
        return token
    return Token(
        "string", token.text[start + 1 : end + 1], token.start + 1 + start, token.start + 1 + end
    )


def _named(tokens: Sequence[Token], message: str) -> Token | None:
    """The last word of the first thing that a message quotes and the rule has."""
    for quoted, last in _QUOTED.findall(message):
        words = [text or name for text, name in _WORD.findall(quoted or last)]
        for word in words[:-2:-1]:
            for token in tokens:
                if token.kind in ("name", "string") and token.text.strip('"') == word:
                    return token
    return None


def _text(statement: Statement, tokens: Sequence[Token]) -> str:
    return statement.file.text[tokens[0].start : tokens[-1].end] if tokens else ""


def _parts(statement: Statement) -> list[tuple[Token, Token, str]]:
    """The operands of && and ||, each with the rule that ends with it."""
    tokens = statement.tokens
    found: list[tuple[Token, Token, str]] = []
    depth, first = 0, 0
    scope_end = 0
    for index, token in enumerate(tokens):
        if token.kind == "string":
            continue
        if token.text == "{" and depth == 0:
            first = index + 1
            scope_end = index
        depth += (token.text in "([{") - (token.text in ")]}")
        is_end = token.text == "}" and depth == 0
        if scope_end and (is_end or (depth == 1 and token.text in ("&&", "||"))):
            if first < index:
                text = f"{_text(statement, tokens[:index])} }};"
                found.append((tokens[first], tokens[index - 1], text))
            first = index + 1
        if is_end:
            scope_end = 0
    return found
