"""What comes of a question: an answer, a question back, a change to look at, or why there is none."""

from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from stepwell.engine.values import Json


class Explained(Struct, frozen=True, kw_only=True):
    """What a statement does, told from the plan or the guard's verdict, never from what a model says."""

    summary: str
    tables: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()


class Statement(Struct, frozen=True, kw_only=True):
    """SQL twice: as it was written for the question, and as it ran."""

    written: str
    parameters: dict[str, Json] = {}
    executed: str = ""


class Answer(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="answer"):
    """Rows that answer the question. `by` is who understood it."""

    by: str
    sql: Statement
    explanation: Explained
    assumptions: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[list[Json]]
    returned: int
    total: int | None
    truncated: bool
    notes: tuple[str, ...]
    result_id: str
    sight: str = ""
    masked: tuple[str, ...] = ()
    row_filtered: tuple[str, ...] = ()


class Option(Struct, frozen=True):
    """One way to understand a question; `reading` names it when the question is asked again."""

    reading: str
    meaning: str


class Clarify(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="clarify"):
    """The question can be read in several ways with different answers."""

    question: str
    options: tuple[Option, ...]


class CannotAnswer(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="cannot_answer"):
    """There is no answer; `words` are those that could not be placed."""

    reason: str
    words: tuple[str, ...] = ()


class Change(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="change"):
    """The question wants a change. Nothing was changed; `preview` shows what would be."""

    by: str
    sql: Statement
    explanation: Explained
    assumptions: tuple[str, ...]
    preview: Json | UnsetType = UNSET
    next: str = ""
    """What to do to have it done."""


Outcome: TypeAlias = Answer | Clarify | CannotAnswer | Change

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["outcome"],
    "properties": {
        "outcome": {
            "enum": ["answer", "clarify", "cannot_answer", "change"],
            "description": "What came of the question; it says which of the others are there.",
        },
        "by": {
            "enum": ["verified query", "pattern", "model"],
            "description": "What understood the question.",
        },
        "sql": {
            "type": "object",
            "description": "The SQL as written and as executed, and its parameters.",
            "properties": {
                "written": _TEXT,
                "parameters": {"type": "object"},
                "executed": _TEXT,
            },
        },
        "explanation": {
            "type": "object",
            "description": "What the SQL does, made from its plan.",
            "properties": {"summary": _TEXT, "tables": _TEXTS, "filters": _TEXTS},
        },
        "assumptions": {**_TEXTS, "description": "How words were taken; tell the user."},
        "columns": _TEXTS,
        "rows": {"type": "array", "items": {"type": "array"}},
        "returned": {"type": "integer", "description": "How many rows are here."},
        "total": {"type": ["integer", "null"], "description": "How many there are, if known."},
        "truncated": {"type": "boolean", "description": "Whether something was left out."},
        "notes": _TEXTS,
        "result_id": {**_TEXT, "description": "db_result shows more of the rows."},
        "sight": {**_TEXT, "description": "Names what you might see; db_result compares it."},
        "masked": {**_TEXTS, "description": "Columns whose values are hidden from you."},
        "row_filtered": {**_TEXTS, "description": "Tables of which you may not see every row."},
        "question": {**_TEXT, "description": "What is asked back."},
        "options": {
            "type": "array",
            "description": "The readings; ask again with `reading` of the one that is meant.",
            "items": {
                "type": "object",
                "required": ["reading", "meaning"],
                "properties": {"reading": _TEXT, "meaning": _TEXT},
            },
        },
        "reason": {**_TEXT, "description": "Why there is no answer."},
        "words": {**_TEXTS, "description": "The words that could not be placed."},
        "preview": {"type": "object", "description": "What the change would do; nothing is done."},
        "next": {**_TEXT, "description": "What to do to have the change made."},
    },
}
"""The schema of any of them, as a tool answers it."""
