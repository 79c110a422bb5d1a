"""What a client may ask about datasources."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.types import Datasource, InspectedDatasource, Problem, Run
from stepwell.v1 import datasource_service_pb2 as pb

DEFAULT_WAIT: Final = timedelta(seconds=20)


class Datasources:
    """`client.datasources`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, name: str, url: str, *, accept_risks: bool = False) -> Datasource:
        """Names a database, by a URL as the server sees it: `sqlite:////srv/shop.db`.

        With `accept_risks` its login may do more than it should.
        """
        request = pb.CreateDatasourceRequest(name=name, url=url, accept_risks=accept_risks)
        answer = await self._connection.call(self._connection.datasources.CreateDatasource, request)
        return decode.datasource(answer.datasource)

    async def teach(self, name: str, source: bytes | str) -> tuple[Problem, ...]:
        """Keeps a glossary, metrics and verified queries, in the place of those before.

        Everything that is wrong with them is given, and nothing is kept then; () when it is kept.
        """
        text = source.encode() if isinstance(source, str) else source
        request = pb.TeachDatasourceRequest(name=name, source=text)
        answer = await self._connection.call(self._connection.datasources.TeachDatasource, request)
        return tuple(map(decode.problem, answer.problems))

    async def ask(
        self,
        name: str,
        question: str,
        *,
        rows: int = 50,
        reading: str = "",
        ask_back: bool = False,
        request_id: str = "",
        timeout: timedelta = DEFAULT_WAIT,
    ) -> Run:
        """Asks a question in plain words; what came of it is the output of the run.

        It is given as it is after `timeout`, of at most a minute, where it has not ended by then.
        `reading` names which reading is meant, where an earlier answer was `clarify`.
        """
        request = pb.AskDatasourceRequest(
            call=pb.DatasourceCall(datasource=name, request_id=request_id),
            question=question,
            rows=rows,
            reading=reading,
            ask_back=ask_back,
        )
        request.call.timeout.FromTimedelta(timeout)
        answer = await self._connection.call(
            self._connection.datasources.AskDatasource, request, waiting=timeout
        )
        return decode.run(answer.run)

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

    async def describe(self, name: str, *, writes: Sequence[str] = ()) -> InspectedDatasource:
        """One as it is now: what is in it, and what its login may do besides reading.

        Its `hardening_sql` makes a login that may change rows of the tables `writes` as well.
        """
        request = pb.InspectDatasourceRequest(name=name, writes=writes)
        answer = await self._connection.call(
            self._connection.datasources.InspectDatasource, request
        )
        return decode.inspected_datasource(answer)

    async def delete(self, name: str) -> None:
        """Forgets one; the database itself is left alone."""
        request = pb.DeleteDatasourceRequest(name=name)
        await self._connection.call(self._connection.datasources.DeleteDatasource, request)
