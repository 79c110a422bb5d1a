"""What a model answers to a question: the ways to read it, each as a plan or as SQL."""

import re
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from stepwell.nldb.ask.coverage import Covered
from stepwell.nldb.plan import form
from stepwell.nldb.plan.form import TEXT, Form, closed_object, list_of
from stepwell.nldb.plan.model import Scalar

MOST_READINGS: Final = 4


class Parameter(Struct, frozen=True):
    """A value of the SQL."""

    name: str
    value: Scalar


class Sql(Struct, frozen=True, kw_only=True):
    """A statement that no plan can say, and how words were taken in it."""

    kind: Literal["query", "change"]
    text: str
    parameters: tuple[Parameter, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The parameters by name."""
        return {one.name.lstrip(":$@"): one.value for one in self.parameters}


class Proposed(Struct, frozen=True, kw_only=True):
    """One way to read the question. It has a plan or SQL, and `meaning` tells it from the others."""

    meaning: str = ""
    plan: Form | None = None
    sql: Sql | None = None
    coverage: tuple[Covered, ...] = ()

    @property
    def kind(self) -> str:
        """What it is, for the log."""
        if self.plan is not None:
            return "plan"
        return self.sql.kind if self.sql is not None else "none"

    @property
    def written(self) -> str:
        """What was written, as the model is shown it again."""
        if self.plan is not None:
            return msgspec.json.encode(self.plan).decode()
        return self.sql.text if self.sql is not None else ""


class Proposal(Struct, frozen=True, kw_only=True):
    """The model's answer: no reading at all means that there is no answer, for this reason."""

    readings: tuple[Proposed, ...]
    reason: str = ""

    @property
    def kind(self) -> str:
        """What it is, for the log."""
        if len(self.readings) == 1:
            return self.readings[0].kind
        return "readings" if self.readings else "cannot_answer"

    @property
    def written(self) -> str:
        """All that was written."""
        return "\n".join(one.written for one in self.readings)

    def says_the_same(self, other: "Proposal") -> bool:
        """Whether two differ in spaces and case only."""
        return _plain(self.written) == _plain(other.written)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


SCHEMA: Final[dict[str, Any]] = closed_object(
    readings=list_of(
        closed_object(
            meaning=TEXT,
            plan=_or_null(form.SCHEMA),
            sql=_or_null(
                closed_object(
                    kind={"type": "string", "enum": ["query", "change"]},
                    text=TEXT,
                    parameters=list_of(closed_object(name=TEXT, value=form.SCALAR)),
                    assumptions=list_of(TEXT),
                )
            ),
            coverage=list_of(closed_object(word=TEXT, use=TEXT)),
        )
    ),
    reason=TEXT,
)
"""The schema of a proposal, every member required: so providers can enforce it."""


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip(";").strip().lower()
