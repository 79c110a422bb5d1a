"""What a model answers to a question, and what is wrong with it before any database has seen it."""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct

from stepwell.nldb.link.words import singular, words_of

MOST_OPTIONS: Final = 4


class Parameter(Struct, frozen=True):
    """A value of the SQL."""

    name: str
    value: str | int | float | bool | None


class Covered(Struct, frozen=True):
    """A word of the question, and what it became."""

    word: str
    use: str


class Proposal(Struct, frozen=True, kw_only=True):
    """The model's answer."""

    kind: Literal["query", "change", "clarify", "cannot_answer"]
    sql: str = ""
    parameters: tuple[Parameter, ...] = ()
    coverage: tuple[Covered, ...] = ()
    assumptions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    reason: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The parameters by name."""
        return {one.name.lstrip(":$@"): one.value for one in self.parameters}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [*properties],
        "properties": properties,
        "additionalProperties": False,
    }


_TEXT: Final = {"type": "string"}
SCHEMA: Final[dict[str, Any]] = _object(
    kind={"type": "string", "enum": ["query", "change", "clarify", "cannot_answer"]},
    sql=_TEXT,
    parameters={
        "type": "array",
        "items": _object(name=_TEXT, value={"type": ["string", "number", "boolean", "null"]}),
    },
    coverage={"type": "array", "items": _object(word=_TEXT, use=_TEXT)},
    assumptions={"type": "array", "items": _TEXT},
    options={"type": "array", "items": _TEXT},
    reason=_TEXT,
)
"""The schema of a proposal, every member required: so providers can enforce it."""

_CARRIES_NOTHING: Final = frozenset(
    singular(word)
    for word in words_of(
        "a an the of in on at to for from by with and or not is are was were be been do does did have "
        "has had what which who whom whose how many much when where why there here this that these "
        "those it its their our your my me we us you i they he she please show give list tell find get "
        "all any each every per can could would should will let as than then s across "
        "over between within into about among only also some"
    )
)


def uncovered(question: str, covered: Iterable[Covered]) -> tuple[str, ...]:
    """The words of the question that carry meaning and that the model says nothing of."""
    said = {singular(word) for one in covered if one.use.strip() for word in words_of(one.word)}
    missing = (
        word
        for word in words_of(question)
        if singular(word) not in _CARRIES_NOTHING and singular(word) not in said
    )
    return tuple(dict.fromkeys(missing))


def same_sql(one: str, other: str) -> bool:
    """Whether two statements differ in spaces and case only."""
    return _plain(one) == _plain(other)


def _plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip().rstrip(";").strip().lower()
