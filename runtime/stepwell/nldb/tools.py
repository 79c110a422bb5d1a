"""The tools `db_schema`, `db_check`, `db_query` and `db_result`: a model reads, and no more."""

from typing import Final

from stepwell.engine.pages import PAGE, page_of
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, NotFound
from stepwell.nldb.databases import Databases
from stepwell.nldb.limits import Limits
from stepwell.nldb.outline import outline
from stepwell.nldb.results import Results
from stepwell.nldb.toolkit import DATASOURCE, PARAMETERS, sealed, spec
from stepwell.tools.port import Begin, CallContext, SelfTimed, Tool, ToolSpec

_TEXTS = {"type": "array", "items": {"type": "string"}}
_PAGED: Final = frozenset({"db_query", "db_ask"})
"""The tools whose answers have rows."""
_STATEMENT = {
    "datasource": DATASOURCE,
    "sql": {"type": "string", "description": "One SELECT statement."},
    "parameters": PARAMETERS,
}
_SCHEMA = {
    "dialect": {"type": "string"},
    "tables": {"type": "array"},
    "truncated": {"type": "boolean"},
    "notes": _TEXTS,
}
_VERDICT = {
    "sql": {"type": "string", "description": "As it would run."},
    "tables": {**_TEXTS, "description": "Those that it reads."},
    "columns": {**_TEXTS, "description": "Those that it reads."},
    "outputs": {**_TEXTS, "description": "The columns of the result."},
    "masked": {**_TEXTS, "description": "Of them, those whose values you do not see."},
    "row_filtered": {**_TEXTS, "description": "Tables of which you may not see every row."},
}
_ANSWER = {
    "columns": _TEXTS,
    "rows": {"type": "array", "items": {"type": "array"}},
    "returned": {"type": "integer", "description": "How many rows are here."},
    "total": {"type": ["integer", "null"], "description": "How many there are, if known."},
    "truncated": {"type": "boolean", "description": "Whether something was left out."},
    "notes": _TEXTS,
    "result_id": {"type": "string", "description": "db_result shows more of the rows."},
}


def sql_tools(
    databases: Databases, results: Results, *, limits: Limits | None = None
) -> tuple[Tool, ...]:
    """All of them."""
    bounds = limits or Limits()
    return (
        SchemaTool(databases, bounds),
        CheckTool(databases, bounds),
        QueryTool(databases, bounds),
        ResultTool(databases, results, bounds),
    )


class SchemaTool(SelfTimed):
    """Tells what tables there are."""

    def __init__(self, databases: Databases, limits: Limits) -> None:
        self.spec: ToolSpec = spec(
            "db_schema",
            "Lists the tables of a datasource with their columns, types and keys, and about how "
            "many rows they have. Look here before you write a query.",
            {
                "datasource": DATASOURCE,
                "tables": {**_TEXTS, "description": "Only these tables; all of them by default."},
            },
            limits,
            required=("datasource",),
            answered=_SCHEMA,
        )
        self._databases = databases

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Describes the tables.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_FAILED or TOOL_TIMEOUT.
        """
        name = arguments["datasource"]
        view = await self._databases.view(context, name)
        return sealed(name, outline(view.catalog, view.access, arguments.get("tables", ())))


class CheckTool(SelfTimed):
    """Tells whether a statement may run, and as what."""

    def __init__(self, databases: Databases, limits: Limits) -> None:
        self.spec: ToolSpec = spec(
            "db_check",
            "Says whether db_query would run a SQL statement, without running it: the SQL as it "
            "would run over what you may see of its tables, what it reads, and what of it is masked "
            "or filtered for you.",
            _STATEMENT,
            limits,
            required=("datasource", "sql"),
            answered=_VERDICT,
        )
        self._databases = databases

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Checks the statement.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_REFUSED or QUERY_FAILED.
        """
        name = arguments["datasource"]
        _, checked = await self._databases.check(
            context, name, arguments["sql"], arguments.get("parameters")
        )
        told: dict[str, Json] = {
            "sql": checked.told,
            "tables": list(checked.tables),
            "columns": list(checked.columns),
            "outputs": list(checked.outputs),
            "masked": list(checked.masked),
            "row_filtered": list(checked.row_filtered),
        }
        return sealed(name, told)


class QueryTool(SelfTimed):
    """Runs one statement that reads."""

    def __init__(self, databases: Databases, limits: Limits) -> None:
        self.spec: ToolSpec = spec(
            "db_query",
            "Runs one read-only SQL statement (SELECT or WITH) on a datasource, in the dialect "
            f"that db_schema names. At most {limits.rows} rows come back; `truncated` tells "
            "whether there are more, and `total` how many there are if that is known. A model is "
            f"shown {PAGE} of them; db_result shows the others.",
            _STATEMENT,
            limits,
            required=("datasource", "sql"),
            answered=_ANSWER,
            most_rows=limits.rows,
        )
        self._databases = databases
        self._limits = limits

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Runs the query.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_REFUSED, QUERY_FAILED or TOOL_TIMEOUT.
        """
        name = arguments["datasource"]
        _, rows = await self._databases.read(
            context,
            name,
            arguments["sql"],
            limits=self._limits,
            parameters=arguments.get("parameters"),
            begin=begin,
        )
        told: dict[str, Json] = {
            "columns": list(rows.columns),
            "rows": rows.rows,
            "returned": len(rows.rows),
            "total": rows.total,
            "truncated": rows.truncated,
            "notes": list(rows.notes),
            "result_id": context.key,
            "sight": rows.sight,
        }
        return sealed(name, told)


class ResultTool(SelfTimed):
    """Shows the rows of an earlier query that were not shown then."""

    def __init__(self, databases: Databases, results: Results, limits: Limits) -> None:
        self.spec: ToolSpec = spec(
            "db_result",
            f"Shows up to {PAGE} rows of what db_query or db_ask has answered you before, from a "
            "place on, as long as you may still see all of it. No row is read again.",
            {
                "result_id": {
                    "type": "string",
                    "maxLength": 512,
                    "description": "As the answer named it.",
                },
                "offset": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "How many rows to leave out.",
                },
                "rows": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": PAGE,
                    "default": PAGE,
                    "description": "The most rows to show.",
                },
            },
            limits,
            required=("result_id",),
            answered=_ANSWER,
            most_rows=limits.rows,
        )
        self._databases = databases
        self._results = results

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Shows a page.

        Raises:
            NotFound: RESOURCE_NOT_FOUND, there is no such result of the principal's, or what he may
                see is not what it was; DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_FAILED, the datasource cannot be read.
            KeyDestroyed: it was erased.
        """
        id = arguments["result_id"]
        told = await self._results.find(context.namespace, context.principal, id, _PAGED)
        if told is None or not isinstance(told.value, dict) or "rows" not in told.value:
            raise NotFound(
                f"there is no result {id!r:.80} of yours; ask db_query or db_ask again",
                code=Code.RESOURCE_NOT_FOUND,
            )
        await self._check_sight(told.value.get("sight"), told.sealed, context)
        offset, size = arguments.get("offset", 0), arguments.get("rows", PAGE)
        rows = {name: told.value[name] for name in _ANSWER}
        return Data(page_of(rows, id, offset=offset, size=size), sealed=told.sealed)

    async def _check_sight(self, sight: Json, sealed: str, context: CallContext) -> None:
        """Rows that were shown once are hidden from who may not see them any more."""
        view = await self._databases.view(context, sealed.partition(":")[2], fresh=False)
        if sight != view.sight:
            raise NotFound(
                "what you may see of the datasource is not what it was when this was asked; ask again",
                code=Code.RESOURCE_NOT_FOUND,
            )
