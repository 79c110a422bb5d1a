"""DatasourceService: databases that the SQL tools may reach."""

from stepwell.orchestrator.service import Service
from stepwell.v1 import datasource_service_pb2 as pb
from stepwell.v1 import datasource_service_pb2_grpc as rpc
from stepwell_server import paging, translate
from stepwell_server.interceptors import Context, current_caller


class DatasourceServicer(rpc.DatasourceServiceServicer):
    """Names databases."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def CreateDatasource(
        self, request: pb.CreateDatasourceRequest, context: Context
    ) -> pb.CreateDatasourceResponse:
        """Names a database."""
        datasource = await self._service.add_datasource(current_caller(), request.name, request.url)
        return pb.CreateDatasourceResponse(datasource=translate.datasource(datasource))

    async def ListDatasources(
        self, request: pb.ListDatasourcesRequest, context: Context
    ) -> pb.ListDatasourcesResponse:
        """All of them, by name."""
        page, token = paging.named(
            await self._service.list_datasources(current_caller()),
            translate.datasource,
            size=request.page_size,
            after=request.page_token,
        )
        return pb.ListDatasourcesResponse(datasources=page, next_page_token=token)

    async def DeleteDatasource(
        self, request: pb.DeleteDatasourceRequest, context: Context
    ) -> pb.DeleteDatasourceResponse:
        """Forgets one."""
        await self._service.remove_datasource(current_caller(), request.name)
        return pb.DeleteDatasourceResponse()
