"""What a client may ask about datasources."""

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.types import Datasource
from stepwell.v1 import datasource_service_pb2 as pb


class Datasources:
    """`client.datasources`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, name: str, url: str) -> Datasource:
        """Names a database, by a URL as the server sees it: `sqlite:////srv/shop.db`."""
        request = pb.CreateDatasourceRequest(name=name, url=url)
        answer = await self._connection.call(self._connection.datasources.CreateDatasource, request)
        return decode.datasource(answer.datasource)

    async def list(self) -> tuple[Datasource, ...]:
        """All of them, by name."""
        found: tuple[Datasource, ...] = ()
        request = pb.ListDatasourcesRequest(page_size=1000)
        while True:
            answer = await self._connection.call(
                self._connection.datasources.ListDatasources, request
            )
            found += tuple(map(decode.datasource, answer.datasources))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    async def delete(self, name: str) -> None:
        """Forgets one; the database itself is left alone."""
        request = pb.DeleteDatasourceRequest(name=name)
        await self._connection.call(self._connection.datasources.DeleteDatasource, request)
