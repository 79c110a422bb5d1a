"""The questions of `chinook.toml` as types; `README.md` tells what each kind asks of a tool."""

import random
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from bench.nldb.answers import Gold

FILE = Path(__file__).with_name("chinook.toml")
Part: TypeAlias = Literal["open", "held_out"]


class Reading(Gold, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the ways to understand an ambiguous question, with the answer that it would have."""

    meaning: str


class _Question(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    id: str
    part: Part
    question: str


class Answer(_Question, frozen=True, kw_only=True, tag="answer"):
    """A question that the data answers."""

    shape: Literal["plain", "join", "grouping"]
    gold: Gold

    @property
    def group(self) -> str:
        """What the two parts are balanced over."""
        return self.shape


class Clarify(_Question, frozen=True, kw_only=True, tag="clarify"):
    """A question with readings that differ in their answers: the tool should ask which is meant."""

    readings: list[Reading]

    @property
    def group(self) -> str:
        """What the two parts are balanced over."""
        return "clarify"


class CannotAnswer(_Question, frozen=True, kw_only=True, tag="cannot_answer"):
    """A question about something that the database does not have."""

    missing: str
    tempting: str

    @property
    def group(self) -> str:
        """What the two parts are balanced over."""
        return "cannot_answer"


class Write(_Question, frozen=True, kw_only=True, tag="write"):
    """A request for a change: what it touches, and what its table has afterwards.

    `where`, `key` and `keys` (JSON) say which rows an update or a delete must touch.
    """

    verb: Literal["insert", "update", "delete"]
    table: str
    sql: str
    postgres: str | None = None
    changes: int
    where: str | None = None
    key: list[str] = []
    keys: str | None = None
    after: Gold

    @property
    def group(self) -> str:
        """What the two parts are balanced over."""
        return "write"


Question: TypeAlias = Answer | Clarify | CannotAnswer | Write


class QuestionSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All the questions, and the seed that dealt them into two parts."""

    seed: int
    question: list[Question]


def load(path: Path = FILE) -> QuestionSet:
    """Read the questions.

    Raises:
        msgspec.ValidationError: the file is not as the types say; the message names the place.
    """
    return msgspec.toml.decode(path.read_bytes(), type=QuestionSet)


def dealt(questions: list[Question], *, seed: int) -> dict[str, Part]:
    """The part of each id: every group is shuffled, and its first half is open."""
    parts: dict[str, Part] = {}
    deal = random.Random(seed)
    for group in dict.fromkeys(question.group for question in questions):
        ids = [question.id for question in questions if question.group == group]
        deal.shuffle(ids)
        half = len(ids) // 2
        parts.update((id, "open") for id in ids[:half])
        parts.update((id, "held_out") for id in ids[half:])
    return parts
