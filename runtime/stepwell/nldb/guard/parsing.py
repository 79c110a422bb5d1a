"""One statement as a tree.

Sqlglot rewrites what it reads: it knows functions of many dialects and turns one into another,
drops the `ago` of an interval, and takes JSON paths apart. What runs must be what was asked, so
some tokens are changed before they are parsed: a function's name gets a mark, by which the parser
does not know it and leaves it as it is; an interval becomes a cast.
"""

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from stepwell.nldb.guard.caps import tokens_of
from stepwell.nldb.guard.dialects import parser_of
from stepwell.nldb.guard.functions import Functions
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.model import Dialect

MARK = "\x00"
"""Begins the name of every function that is allowed; no statement can hold it."""

_NOT_A_CALL = frozenset(
    {TokenType.ALIAS, TokenType.DCOLON, TokenType.INTO, TokenType.WITH, TokenType.RECURSIVE}
)
ARROW = MARK + "->"
"""The name of a function that stands for `->`, which the parser takes for a lambda in arguments."""
_PATHS = ([TokenType.STRING], [TokenType.NUMBER])
_AS_TEXT = frozenset({TokenType.HEREDOC_STRING, TokenType.BYTE_STRING})


def parsed(sql: str, dialect: Dialect, functions: Functions) -> exp.Expr:
    """The tree of the one statement in the text.

    Raises:
        Refused: by a cap, sql.syntax or sql.one_statement.
    """
    tokens = _prepared(tokens_of(sql, dialect), sql, dialect, functions)
    try:
        statements = parser_of(dialect).parser().parse(tokens, sql)
    except RecursionError as error:
        raise Refused("sql.depth", "the SQL is nested too deep") from error
    except (SqlglotError, ValueError, TypeError, AttributeError) as error:
        raise Refused(
            "sql.syntax",
            f"the SQL cannot be read as {_SPOKEN[dialect]}{_place(error)}",
            "check the spelling of the keywords, the commas and the parentheses",
        ) from error
    # A comment after the last semicolon is a statement to the parser, and nothing else.
    found = [one for one in statements if one is not None and type(one) is not exp.Semicolon]
    if len(found) != 1:
        raise Refused(
            "sql.one_statement",
            f"there are {len(found)} statements" if found else "there is no statement",
            "ask with exactly one",
        )
    statement = found[0]
    if not isinstance(statement, exp.Expr):
        raise Refused("sql.syntax", "the SQL is not a statement")
    return statement


_SPOKEN: dict[Dialect, str] = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


def _place(error: Exception) -> str:
    details = getattr(error, "errors", None)
    line, column = (details[0].get("line"), details[0].get("col")) if details else (None, None)
    return f" near line {line}, column {column}" if line and column else ""


def _prepared(tokens: list[Token], sql: str, dialect: Dialect, functions: Functions) -> list[Token]:
    prepared: list[Token] = []
    before: Token | None = None
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        kind = token.token_type
        if kind is TokenType.NUMBER or kind is TokenType.STRING:
            _check_neighbour(token, after)
        if kind in _AS_TEXT:
            prepared.append(_like(token, TokenType.STRING, token.text))
        elif kind is TokenType.HEX_STRING and sql[token.start] == "0":
            if dialect == "sqlite" and int(token.text, 16) >= 2**63:
                raise Refused(
                    "sql.syntax",
                    "a hexadecimal number that SQLite takes for a negative one",
                    "write it in decimal digits",
                )
            prepared.append(_like(token, TokenType.NUMBER, str(int(token.text, 16))))
        elif kind is TokenType.ARROW and _is_before_path(tokens, place):
            prepared += [_like(token, TokenType.DARROW, "->>"), _like(token, TokenType.VAR, ARROW)]
        elif (kind is TokenType.STRING or kind is TokenType.NUMBER) and _is_path(tokens, place):
            prepared += _in_parentheses(token)
        elif kind is TokenType.DASH and _is_path(tokens, place):
            prepared += [_like(token, TokenType.L_PAREN, "("), token]
        elif kind is TokenType.NUMBER and place > 1 and _is_minus_path(tokens, place - 1):
            prepared += [token, _like(token, TokenType.R_PAREN, ")")]
        elif kind is TokenType.INTERVAL and _is_plain_interval(tokens, place):
            prepared += _cast_begin(token)
        elif (
            kind is TokenType.STRING
            and before is not None
            and before.token_type is TokenType.INTERVAL
            and _is_plain_interval(tokens, place - 1)
        ):
            prepared += _cast_end(token)
        elif _is_call(token, before, after) and token.text.lower() in functions:
            prepared.append(_like(token, TokenType.VAR, MARK + token.text.lower()))
        else:
            prepared.append(token)
        before = token
    return prepared


def _check_neighbour(token: Token, after: Token | None) -> None:
    if after is None:
        return
    glued = after.token_type is TokenType.VAR and after.start == token.end + 1
    if after.token_type is token.token_type or (glued and token.token_type is TokenType.NUMBER):
        raise Refused(
            "sql.syntax",
            "two literals stand next to each other",
            "put an operator or a comma between them; write numbers without _",
        )


def _is_call(token: Token, before: Token | None, after: Token | None) -> bool:
    return (
        after is not None
        and after.token_type is TokenType.L_PAREN
        and token.token_type is not TokenType.IDENTIFIER
        and (before is None or before.token_type not in _NOT_A_CALL)
    )


def _is_plain_interval(tokens: list[Token], place: int) -> bool:
    """Whether it is INTERVAL and a text, without a unit after it."""
    if place + 1 >= len(tokens) or tokens[place + 1].token_type is not TokenType.STRING:
        return False
    unit = tokens[place + 2] if place + 2 < len(tokens) else None
    return unit is None or unit.text.lower() not in _UNITS


_UNITS = frozenset({"year", "month", "day", "hour", "minute", "second"})


def _is_before_path(tokens: list[Token], place: int) -> bool:
    after = [token.token_type for token in tokens[place + 1 : place + 3]]
    return after[:1] == [TokenType.L_PAREN] or _begins_with_path(after)


def _begins_with_path(kinds: list[TokenType]) -> bool:
    return kinds[:1] in _PATHS or kinds == [TokenType.DASH, TokenType.NUMBER]


def _is_path(tokens: list[Token], place: int) -> bool:
    """Whether it follows an arrow: the parser takes such a literal apart, unless it is covered."""
    before = tokens[place - 1].token_type if place > 0 else None
    if tokens[place].token_type is TokenType.DASH:
        after = tokens[place + 1].token_type if place + 1 < len(tokens) else None
        return before in (TokenType.ARROW, TokenType.DARROW) and after is TokenType.NUMBER
    return before is TokenType.ARROW or before is TokenType.DARROW


def _is_minus_path(tokens: list[Token], place: int) -> bool:
    return tokens[place].token_type is TokenType.DASH and _is_path(tokens, place)


def _in_parentheses(token: Token) -> list[Token]:
    return [
        _like(token, TokenType.L_PAREN, "("),
        token,
        _like(token, TokenType.R_PAREN, ")"),
    ]


def _cast_begin(token: Token) -> list[Token]:
    return [_like(token, TokenType.VAR, "CAST"), _like(token, TokenType.L_PAREN, "(")]


def _cast_end(token: Token) -> list[Token]:
    return [
        token,
        _like(token, TokenType.ALIAS, "AS"),
        _like(token, TokenType.INTERVAL, "INTERVAL"),
        _like(token, TokenType.R_PAREN, ")"),
    ]


def _like(token: Token, kind: TokenType, text: str) -> Token:
    return Token(kind, text, token.line, token.col, token.start, token.end)
