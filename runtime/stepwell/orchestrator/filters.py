"""Filters over the list of runs, in the part of AIP-160 that the list can answer.

    status = ("failed" OR "cancelled") AND labels.team = "shop" AND created_at > "2026-01-01T00:00:00Z"

Conditions are joined by AND, and OR joins values of one field: each condition is one that a store
has an answer to. `labels:team` holds where there is such a label, whatever its value.
"""

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias, cast

from msgspec import Struct

from stepwell.engine.expressions import ExpressionError
from stepwell.engine.instants import instant
from stepwell.errors import InvalidRequest
from stepwell.orchestrator.texts import UNSTORABLE
from stepwell.orchestrator.views import RunStatus
from stepwell_storage.records import Condition, is_run_id

MAX_LENGTH: Final = 4096
MAX_VALUES: Final = 64
"""Of all conditions together."""

_Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
_Kind: TypeAlias = Literal["word", "quoted", "operator", "(", ")", "end", "bad"]

_TEXTS: Final = ("workflow", "version", "principal", "run_key")
_TIMES: Final = ("created_at", "updated_at", "ended_at")
_RUNS: Final = ("parent", "forked_from")
_LABEL: Final = "labels.NAME"
FIELDS: Final = ("status", *_TEXTS, *_TIMES, *_RUNS, _LABEL)
"""What runs can be listed by."""

_EQUALITIES: Final = ("=", "!=")
_ORDERS: Final = ("=", "!=", "<", "<=", ">", ">=")
_RUN_PREFIX: Final = "runs/"

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator>!=|<=|>=|[=<>:])
      | (?P<bracket>[()])
      | (?P<word>[^\s"'()=!<>:]+)
      | (?P<bad>\S)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class _Token(Struct, frozen=True):
    """One word of a filter; `column` counts from 1, `text` is what it says without its quotes."""

    kind: _Kind
    text: str
    column: int

    def says(self, word: str) -> bool:
        """Whether it is this very word, and not a value that looks like it."""
        return self.kind == "word" and self.text == word

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter, all of which hold; () of an empty one.

    Raises:
        InvalidRequest: it is not one; the message tells the column and what would be right.
    """
    if len(text) > MAX_LENGTH:
        raise _refusal(MAX_LENGTH + 1, f"a filter has at most {MAX_LENGTH} characters")
    if not text.strip():
        return ()
    reader = _Reader(text)
    conditions = [reader.condition()]
    while reader.another():
        conditions.append(reader.condition())
    return tuple(conditions)


class _Reader:
    """Reads a filter from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._values = 0
        self._next = self._scan()

    def another(self) -> bool:
        """Whether a condition follows, after AND; at the end none does."""
        token = self._take()
        if token.kind == "end":
            return False
        if token.says("AND"):
            return True
        if token.says("OR"):
            raise _refusal(
                token.column,
                'OR joins values of one field, like status = ("failed" OR "cancelled"), '
                "and not conditions",
            )
        hint = "; a value with such characters needs quotes" if token.text in (":", "=") else ""
        raise _refusal(token.column, f"AND is expected here, not {token}{hint}")

    def condition(self) -> Condition:
        """One condition.

        Raises:
            InvalidRequest: it is not one.
        """
        name = self._take()
        if name.says("NOT") or (name.kind == "word" and name.text.startswith("-")):
            raise _refusal(name.column, "NOT is not known here; write FIELD != VALUE")
        if name.kind != "word":
            raise _refusal(name.column, f"a field is expected here, not {name}")
        if name.text == "labels" and self._next.kind == "operator":
            return self._has_label(name)
        field = _field(name)
        operator = self._operator(field)
        read = _reading(field)
        values = tuple(read(field, token) for token in self._value_tokens(operator))
        return Condition(field, operator, values)

    def _has_label(self, name: _Token) -> Condition:
        """`labels:team`: no text is less than the empty one, and no label is no text."""
        if self._next.text != ":":
            raise _refusal(
                name.column, 'name a label: labels.team = "shop", or labels:team for any value'
            )
        self._take()
        (label,) = self._value_tokens("!=")
        if not label.text:
            raise _refusal(label.column, "a label has a name")
        return Condition(f"labels.{label.text}", ">=", ("",))

    def _operator(self, field: str) -> _Operator:
        token = self._take()
        if token.kind != "operator":
            raise _refusal(token.column, f"{field} is to be compared: {field} = VALUE, not {token}")
        known = _ORDERS if field in _TIMES else _EQUALITIES
        if token.text in known:
            return cast("_Operator", token.text)
        if token.text == ":":
            raise _refusal(
                token.column, f"only labels:NAME asks what is there; write {field} = VALUE"
            )
        raise _refusal(
            token.column, f"{field} is the same or another, = or !=, and not {token.text} a value"
        )

    def _value_tokens(self, operator: _Operator) -> list[_Token]:
        """One value, or several in brackets with OR between them."""
        bracket = self._next
        if bracket.kind != "(":
            return [self._value()]
        if operator != "=":
            raise _refusal(
                bracket.column, "several values may follow = only; join conditions with AND"
            )
        self._take()
        found = [self._value()]
        while (between := self._take()).says("OR"):
            found.append(self._value())
        if between.kind != ")":
            raise _refusal(between.column, f"OR or ) is expected here, not {between}")
        return found

    def _value(self) -> _Token:
        token = self._take()
        if token.kind not in ("word", "quoted"):
            raise _refusal(token.column, f"a value is expected here, not {token}")
        if UNSTORABLE.search(token.text):
            raise _refusal(token.column, "no text that is stored has such characters")
        self._values += 1
        if self._values > MAX_VALUES:
            raise _refusal(token.column, f"a filter has at most {MAX_VALUES} values")
        return token

    def _take(self) -> _Token:
        token, self._next = self._next, self._scan()
        if token.kind == "bad":
            quote = token.text in "\"'"
            raise _refusal(
                token.column,
                "this quote is never closed" if quote else f"{token.text!r} means nothing here",
            )
        return token

    def _scan(self) -> _Token:
        match = _TOKEN.match(self._text, self._at)
        assert match is not None, "something always matches"
        kind = match.lastgroup
        assert kind is not None, "in one of the groups"
        text = match[kind]
        column = match.start(kind) + 1
        self._at = match.end()
        if kind == "quoted":
            return _Token("quoted", _ESCAPED.sub(r"\1", text[1:-1]), column)
        return _Token(cast("_Kind", text if kind == "bracket" else kind), text, column)


def _field(token: _Token) -> str:
    """The field that a word names; that of a label is `labels.NAME`."""
    name, _, label = token.text.partition(".")
    if token.text in FIELDS and token.text != _LABEL:
        return token.text
    if name == "labels" and label:
        return token.text
    near = _nearest(name, (*FIELDS[:-1], "labels"))
    if near:
        meant = f"labels.{label or 'NAME'}" if near == "labels" else near
        raise _refusal(token.column, f"there is no field {token}; did you mean {meant}?")
    raise _refusal(token.column, f"there is no field {token}; there are {', '.join(FIELDS)}")


_Read: TypeAlias = Callable[[str, _Token], str | int]


def _reading(field: str) -> _Read:
    """How a value of this field is read."""
    if field == "status":
        return _status
    if field in _TIMES:
        return _instant
    return _run if field in _RUNS else _plain


def _plain(field: str, token: _Token) -> str:
    return token.text


def _status(field: str, token: _Token) -> str:
    if token.text in RunStatus.__members__.values():
        return token.text
    near = _nearest(token.text.lower(), [str(status) for status in RunStatus])
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(RunStatus)}"
    raise _refusal(token.column, f"{token} is no status of a run; {hint}")


def _run(field: str, token: _Token) -> str:
    id = token.text.removeprefix(_RUN_PREFIX)
    if not is_run_id(id):
        raise _refusal(token.column, f"{field} is the id of a run, and {token} is none")
    return id


def _instant(field: str, token: _Token) -> int:
    try:
        return instant(token.text)
    except ExpressionError:
        raise _refusal(
            token.column,
            f"{field} is compared with a time and its zone, like "
            f'"2026-01-31T09:00:00Z", and {token} is none',
        ) from None


def _nearest(word: str, known: Collection[str]) -> str | None:
    return next(iter(get_close_matches(word[:64], known, n=1)), None)


def _refusal(column: int, problem: str) -> InvalidRequest:
    said = f"column {column}: {problem}"
    return InvalidRequest(f"the filter is not right at {said}", detail={"filter": said})
