"""The tool `db_ask`."""

from typing import Any, Final

import msgspec

from stepwell.engine.values import Data, Json
from stepwell.nldb.ask.asker import MOST_QUESTION, Asked, Asker
from stepwell.nldb.ask.outcomes import SCHEMA
from stepwell.nldb.toolkit import DATASOURCE
from stepwell.tools.port import CallContext, ToolSpec

NAME: Final = "db_ask"

_INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["datasource", "question"],
    "additionalProperties": False,
    "properties": {
        "datasource": DATASOURCE,
        "question": {
            "type": "string",
            "description": "One question, or one change that is wanted, in plain English. "
            f"At most {MOST_QUESTION} characters are read.",
        },
        "rows": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1000,
            "default": 50,
            "description": "The most rows to bring back.",
        },
        "reading": {
            "type": "string",
            "maxLength": 500,
            "description": "Which reading is meant, as `clarify` named it.",
        },
        "ask_back": {
            "type": "boolean",
            "default": False,
            "description": "Ask the person behind you when the question can be read in several "
            "ways, instead of answering `clarify`.",
        },
    },
}


class AskTool:
    """Answers a question about a datasource; changes nothing."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.spec: ToolSpec = ToolSpec(
            name=NAME,
            title="Ask a database",
            description=(
                "Answers a question about a datasource with rows, the SQL, and what was assumed. "
                "It never guesses: when a word means nothing there it answers `cannot_answer`, when "
                "the question can be read in several ways `clarify`. For a change it shows what "
                "would happen, and does nothing. If you write SQL well, use db_schema and db_query."
            ),
            input_schema=_INPUT,
            output_schema=SCHEMA,
            read_only=True,
            idempotent=True,
            kind="sql",
            most_rows=asker.limits.rows,
        )

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        """Asks.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_FAILED, TOOL_TIMEOUT, or what the model said.
        """
        asked = msgspec.convert(arguments, Asked)
        outcome = await self._asker.ask(asked, context)
        return Data(msgspec.to_builtins(outcome), sealed=f"datasource:{asked.datasource}")
