"""What a client may ask about workflows."""

from stepwell.client import decode
from stepwell.client.connection import Connection
from stepwell.client.encode import code_proof
from stepwell.client.types import Problem, Workflow
from stepwell.v1 import workflow_service_pb2 as pb


class Workflows:
    """`client.workflows`. A document is YAML or JSON, as the bytes or text that was written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def check(self, source: bytes | str) -> tuple[Problem, ...]:
        """Everything that is wrong with a document, at once; () when nothing is."""
        request = pb.CheckWorkflowRequest(source=_bytes(source))
        answer = await self._connection.call(self._connection.workflows.CheckWorkflow, request)
        return tuple(map(decode.problem, answer.problems))

    async def put(self, source: bytes | str, *, code: str = "") -> Workflow:
        """Stores a version and makes it the newest.

        Of a user it is a permit if it lists tools that may change something, and once anybody has a
        factor that takes the one-time `code`: `Denied`, FACTOR_REQUIRED.

        A document with problems is `InvalidRequest`, INVALID_DEFINITION, with the first of
        them; `check` tells all.
        """
        request = pb.PutWorkflowRequest(source=_bytes(source), proof=code_proof(code))
        answer = await self._connection.call(self._connection.workflows.PutWorkflow, request)
        return decode.workflow(answer.workflow, created=answer.created)

    async def get(self, name: str, version: str = "") -> Workflow:
        """One version with its source, the newest by default."""
        request = pb.GetWorkflowRequest(name=name, version=version)
        answer = await self._connection.call(self._connection.workflows.GetWorkflow, request)
        return decode.workflow(answer.workflow)

    async def list(self) -> tuple[Workflow, ...]:
        """The newest version of every workflow, by name, without the sources."""
        found: tuple[Workflow, ...] = ()
        request = pb.ListWorkflowsRequest(page_size=1000)
        while True:
            answer = await self._connection.call(self._connection.workflows.ListWorkflows, request)
            found += tuple(map(decode.workflow, answer.workflows))
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token


def _bytes(source: bytes | str) -> bytes:
    return source.encode() if isinstance(source, str) else source
