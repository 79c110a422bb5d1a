"""What a statement must not exceed before it is parsed.

The parser is compiled code that recurses: a statement that is nested too deep would end the
process, not raise. So depth is counted in tokens, first.
"""

import unicodedata

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from stepwell.nldb.guard.dialects import parser_of
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.model import Dialect

LENGTH = 20_000
TOKENS = 3_000
DEPTH = 60
PREFIXES = 10
"""How many tokens may follow each other of which each takes the next as its operand."""

OPEN_JOINS = 5
"""How many joins may wait for their ON: the parser tries each of them twice."""

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END})
_OPERANDS = frozenset(
    {
        TokenType.NUMBER,
        TokenType.STRING,
        TokenType.IDENTIFIER,
        TokenType.VAR,
        TokenType.COMMA,
        TokenType.R_PAREN,
        TokenType.R_BRACKET,
        TokenType.NULL,
        TokenType.TRUE,
        TokenType.FALSE,
        TokenType.STAR,
        TokenType.DOT,
        TokenType.END,
    }
)
_TEXTS = frozenset(
    {
        TokenType.STRING,
        TokenType.IDENTIFIER,
        TokenType.HEREDOC_STRING,
        TokenType.RAW_STRING,
        TokenType.BYTE_STRING,
        TokenType.NATIONAL_STRING,
    }
)
_SPACES = "\t\n\r"


def tokens_of(sql: str, dialect: Dialect) -> list[Token]:
    """The tokens of a statement that is small enough, and has no character to hide behind.

    Raises:
        Refused: by sql.length, sql.characters, sql.syntax, sql.tokens or sql.depth.
    """
    if len(sql) > LENGTH:
        raise Refused(
            "sql.length",
            f"the SQL has {len(sql)} characters, the limit is {LENGTH}",
            "ask for less",
        )
    _check_controls(sql)
    try:
        tokens = parser_of(dialect).tokenize(sql)
    except (TokenError, RecursionError, ValueError) as error:
        raise Refused(
            "sql.syntax",
            "the SQL ends inside of a text, a name or a comment",
            "close every quote and comment",
        ) from error
    if len(tokens) > TOKENS:
        raise Refused(
            "sql.tokens", f"the SQL has {len(tokens)} words and signs, the limit is {TOKENS}"
        )
    _check_depth(tokens)
    _check_joins(tokens)
    if not sql.isascii():
        _check_letters(sql, tokens)
    return tokens


def _check_controls(sql: str) -> None:
    if sql.isprintable() and sql.isascii():
        return
    for character in sql:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Co", "Cn") and character not in _SPACES:
            raise Refused(
                "sql.characters",
                f"the SQL has the character U+{ord(character):04X}, which is not text",
                "leave control characters out",
            )


def _check_letters(sql: str, tokens: list[Token]) -> None:
    """Outside of quotes only letters and digits that are their own plainest form."""
    end = 0
    for token in tokens:
        between = sql[end : token.start]
        if "--" not in between and "/*" not in between:  # what is in a comment is dropped
            _check_plain(between)
        if token.token_type not in _TEXTS:
            _check_plain(sql[token.start : token.end + 1])
        end = token.end + 1


def _check_plain(text: str) -> None:
    if text.isascii():
        return
    for character in text:
        plain = unicodedata.normalize("NFKC", character)
        if ord(character) > 127 and (
            unicodedata.category(character)[0] not in "LMN" or plain != character
        ):
            raise Refused(
                "sql.characters",
                f"the SQL has the character U+{ord(character):04X} outside of quotes, where it can "
                "be mistaken for another one",
                "write plain quotes, spaces and signs; put other text in single quotes",
            )


def _check_joins(tokens: list[Token]) -> None:
    waiting = 0
    for place, token in enumerate(tokens):
        kind = token.token_type
        if kind is TokenType.JOIN:
            before = {other.token_type for other in tokens[max(0, place - 3) : place]}
            waiting += not before & _UNCONDITIONAL
        elif kind is TokenType.ON or kind is TokenType.USING:
            waiting = max(0, waiting - 1)
        if waiting > OPEN_JOINS:
            raise Refused(
                "sql.depth",
                f"more than {OPEN_JOINS} joins wait for their ON",
                "write ON right after each joined table, or CROSS JOIN",
            )


_UNCONDITIONAL = frozenset({TokenType.CROSS, TokenType.NATURAL})


def _check_depth(tokens: list[Token]) -> None:
    depth = prefixes = 0
    for token in tokens:
        kind = token.token_type
        if kind in _OPENING:
            depth += 1
        elif kind in _CLOSING:
            depth -= 1
        prefixes = 0 if kind in _OPERANDS or kind in _OPENING else prefixes + 1
        if depth > DEPTH or prefixes > PREFIXES:
            raise Refused(
                "sql.depth",
                f"the SQL is nested deeper than {DEPTH} levels, or stacks more than {PREFIXES} "
                "prefix operators",
                "split it into common table expressions",
            )
