"""DatasourceService: databases that the SQL tools may reach, and calls of those tools."""

from stepwell.engine.values import Json
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.v1 import datasource_service_pb2 as pb
from stepwell.v1 import datasource_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.drain import Drain
from stepwell_server.interceptors import Context, current_caller
from stepwell_server.services.runs import DEFAULT_WAIT, trace_of, wait_run


class DatasourceServicer(rpc.DatasourceServiceServicer):
    """Names databases, teaches and asks them."""

    def __init__(self, service: Service, drain: Drain) -> None:
        self._service = service
        self._drain = drain

    async def CreateDatasource(
        self, request: pb.CreateDatasourceRequest, context: Context
    ) -> pb.CreateDatasourceResponse:
        """Names a database."""
        datasource = await self._service.datasources.add(
            current_caller(), request.name, request.url, accept_risks=request.accept_risks
        )
        return pb.CreateDatasourceResponse(datasource=translate.datasource(datasource))

    async def InspectDatasource(
        self, request: pb.InspectDatasourceRequest, context: Context
    ) -> pb.InspectDatasourceResponse:
        """Looks at one."""
        datasource, found = await self._service.datasources.inspect(
            current_caller(), request.name, writes=request.writes
        )
        return translate.inspected_datasource(datasource, found)

    async def ListDatasources(
        self, request: pb.ListDatasourcesRequest, context: Context
    ) -> pb.ListDatasourcesResponse:
        """All of them, by name."""
        page, token = paging.named(
            await self._service.datasources.list(current_caller()),
            translate.datasource,
            size=request.page_size,
            after=request.page_token,
        )
        return pb.ListDatasourcesResponse(datasources=page, next_page_token=token)

    async def DeleteDatasource(
        self, request: pb.DeleteDatasourceRequest, context: Context
    ) -> pb.DeleteDatasourceResponse:
        """Forgets one."""
        await self._service.datasources.remove(current_caller(), request.name)
        return pb.DeleteDatasourceResponse()

    async def TeachDatasource(
        self, request: pb.TeachDatasourceRequest, context: Context
    ) -> pb.TeachDatasourceResponse:
        """Keeps a glossary, metrics and verified queries."""
        problems = await self._service.datasources.teach(
            current_caller(), request.name, request.source
        )
        return pb.TeachDatasourceResponse(problems=map(translate.problem, problems))

    async def AskDatasource(
        self, request: pb.AskDatasourceRequest, context: Context
    ) -> pb.AskDatasourceResponse:
        """Asks a question in plain words."""
        asked: dict[str, Json] = {"question": request.question}
        asked |= {"rows": request.rows} if request.rows else {}
        asked |= {"reading": request.reading} if request.reading else {}
        asked |= {"ask_back": True} if request.ask_back else {}
        run = await self._call("db_ask", request.call, asked, context)
        return pb.AskDatasourceResponse(run=translate.run(run), done=run.status.ended)

    async def DescribeDatasource(
        self, request: pb.DescribeDatasourceRequest, context: Context
    ) -> pb.DescribeDatasourceResponse:
        """Tells what tables there are."""
        asked: dict[str, Json] = {"tables": list(request.tables)} if request.tables else {}
        run = await self._call("db_schema", request.call, asked, context)
        return pb.DescribeDatasourceResponse(run=translate.run(run), done=run.status.ended)

    async def CheckQuery(
        self, request: pb.CheckQueryRequest, context: Context
    ) -> pb.CheckQueryResponse:
        """Says whether a statement may run, and as what."""
        run = await self._call("db_check", request.call, _statement(request), context)
        return pb.CheckQueryResponse(run=translate.run(run), done=run.status.ended)

    async def RunQuery(self, request: pb.RunQueryRequest, context: Context) -> pb.RunQueryResponse:
        """Runs a statement that reads."""
        run = await self._call("db_query", request.call, _statement(request), context)
        return pb.RunQueryResponse(run=translate.run(run), done=run.status.ended)

    async def _call(
        self, tool: str, call: pb.DatasourceCall, arguments: dict[str, Json], context: Context
    ) -> Run:
        """The run of a call, when it has ended or the time is over."""
        caller = current_caller()
        run = await self._service.call_tool(
            caller,
            tool,
            {"datasource": call.datasource, **arguments},
            request_id=call.request_id or None,
            trace=trace_of(context),
        )
        timeout = call.timeout.ToTimedelta() if call.HasField("timeout") else DEFAULT_WAIT
        return await wait_run(self._service, self._drain, caller, run.id, timeout)


def _statement(request: pb.CheckQueryRequest | pb.RunQueryRequest) -> dict[str, Json]:
    parameters = translate.read_json(request.parameters, "parameters")
    given = {} if parameters is None else {"parameters": parameters}
    return {"sql": request.sql, **given}
