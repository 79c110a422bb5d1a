"""A policy for tests that are about something else: whoever asks for a call may make it."""

from stepwell.orchestrator.service import Service
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_USER

ANYBODY = '@id("anybody") permit(principal, action, resource);'


async def permit_direct_calls(service: Service) -> None:
    """Lets every direct call pass, which the defaults would hold."""
    await service.policies.apply(LOCAL_USER, [PolicyFile("anybody.cedar", ANYBODY)])
