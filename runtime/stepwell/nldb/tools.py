"""The tools `db_schema` and `db_query`: a model reads a datasource, and can do nothing else."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from stepwell.engine.values import Data, Json
from stepwell.errors import Code
from stepwell.nldb.datasources import sqlite_path
from stepwell.nldb.limits import Limits, timed_out
from stepwell.tools.modules import Source
from stepwell.tools.port import Begin, CallContext, SelfTimed, Tool, ToolFailed, ToolSpec
from stepwell.tools.process import ProcessPool

Lookup: TypeAlias = Callable[[str, str], Awaitable[str]]
"""Gives the URL of a datasource by (namespace, name).

Raises:
    NotFound: DATASOURCE_NOT_FOUND, with the names that there are.
"""

_GRACE = timedelta(seconds=0.5)
"""SQLite is asked to stop at the timeout; the child that does not hear is killed this later."""

_DATASOURCE = {"type": "string", "description": "The name of the datasource."}


def sql_tools(
    lookup: Lookup, *, processes: ProcessPool, limits: Limits | None = None
) -> tuple[Tool, ...]:
    """Both tools. `processes` is theirs alone: SQLite's memory is capped in every child of it."""
    bounds = limits or Limits()
    return SchemaTool(lookup, processes, bounds), QueryTool(lookup, processes, bounds)


class SchemaTool(SelfTimed):
    """Tells what tables there are."""

    def __init__(self, lookup: Lookup, processes: ProcessPool, limits: Limits) -> None:
        self.spec: ToolSpec = _spec(
            "db_schema",
            "Lists the tables of a datasource with their columns, types and keys, and the number "
            "of rows of small tables. Look here before you write a query.",
            {
                "tables": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Only these tables; all of them by default.",
                }
            },
            {"dialect": {"type": "string"}, "tables": {"type": "array"}},
            limits,
        )
        self._child = _Child(lookup, processes, limits, "schema")

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Describes the tables.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_FAILED or TOOL_TIMEOUT.
        """
        wanted = {"tables": arguments.get("tables", [])}
        return await self._child.call(arguments["datasource"], wanted, context, begin)


class QueryTool(SelfTimed):
    """Runs one statement that reads."""

    def __init__(self, lookup: Lookup, processes: ProcessPool, limits: Limits) -> None:
        self.spec: ToolSpec = _spec(
            "db_query",
            "Runs one read-only SQL statement (SELECT or WITH) on a datasource, in the dialect "
            f"that db_schema names. At most {limits.rows} rows come back; `truncated` tells "
            "whether there are more. Write values into the SQL, parameters are not possible.",
            {"sql": {"type": "string", "description": "One SELECT statement."}},
            {
                "columns": {"type": "array"},
                "rows": {"type": "array"},
                "returned": {"type": "integer"},
            },
            limits,
        )
        self._child = _Child(lookup, processes, limits, "query")

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Runs the query.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_REFUSED, QUERY_FAILED or TOOL_TIMEOUT.
        """
        asked = {"sql": arguments["sql"]}
        return await self._child.call(arguments["datasource"], asked, context, begin)


class _Child:
    """The function of the same name in the child that speaks to the database."""

    def __init__(
        self, lookup: Lookup, processes: ProcessPool, limits: Limits, function: str
    ) -> None:
        self._lookup = lookup
        self._processes = processes
        self._limits = limits
        self._bounds: Json = msgspec.to_builtins(limits)
        self._function = function

    async def call(
        self,
        datasource: str,
        arguments: dict[str, Json],
        context: CallContext,
        begin: Begin | None,
    ) -> Data:
        path = sqlite_path(await self._lookup(context.namespace, datasource))
        try:
            value = await self._processes.call(
                Source(f"stepwell.nldb.sqlite.{self._function}"),
                self._function,
                {"path": str(path), "limits": self._bounds, **arguments},
                timeout=self._limits.timeout + _GRACE,
                begin=begin,
            )
        except ToolFailed as error:
            if error.code is Code.TOOL_TIMEOUT:
                raise timed_out(self._limits) from error
            raise
        return Data(value, sealed=f"datasource:{datasource}")


def _spec(
    name: str,
    description: str,
    asked: dict[str, Any],
    answered: dict[str, Any],
    limits: Limits,
) -> ToolSpec:
    answered = {
        **answered,
        "truncated": {"type": "boolean"},
        "notes": {"type": "array", "items": {"type": "string"}},
    }
    required = ["datasource", "sql"] if "sql" in asked else ["datasource"]
    return ToolSpec(
        name=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": {"datasource": _DATASOURCE, **asked},
            "required": required,
            "additionalProperties": False,
        },
        output_schema={"type": "object", "properties": answered, "required": [*answered]},
        read_only=True,
        idempotent=True,
        timeout=limits.timeout // timedelta(microseconds=1),
        kind="sql",
        most_rows=limits.rows if "rows" in answered else 0,
    )
