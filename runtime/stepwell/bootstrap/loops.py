"""What runs beside the worker for as long as the runtime is up."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from stepwell.bootstrap.ground import Ground
from stepwell.errors import SetupError
from stepwell.orchestrator.background import Background
from stepwell.orchestrator.budget_loop import BudgetLoop
from stepwell.orchestrator.notary import Notary
from stepwell.orchestrator.notifications import Desktop, NotificationLoop, Sender, Webhook
from stepwell.orchestrator.policies import PolicyLoop
from stepwell.orchestrator.retention import RetentionLoop
from stepwell.orchestrator.schedule_loop import ScheduleLoop
from stepwell.orchestrator.service import Service
from stepwell.vault.ring import read_key

BUDGETS_LOOK: Final = timedelta(minutes=1)
"""How often it is looked whether a day has begun, for runs that wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """All of them as `background`; two are asked for more than to run."""

    schedules: ScheduleLoop
    notary: Notary
    background: Background


def loops_of(ground: Ground, service: Service) -> Loops:
    """The loops, none of which runs yet.

    Raises:
        SetupError: nobody can be notified as the settings say.
    """
    settings, storage, clock = ground.settings, ground.storage, ground.clock
    poll = settings.worker.poll
    schedules = ScheduleLoop(storage, service.schedules, clock=clock, poll=poll)
    notary = Notary(storage, clock=clock, every=settings.audit.every)
    background = Background(
        schedules=schedules.run,
        retention=RetentionLoop(storage, clock=clock, every=settings.retention.every).run,
        notary=notary.run,
        policies=PolicyLoop(service.policies, poll=poll).run,
        spending=ground.spending.run,
        budgets=BudgetLoop(storage, service.budgets, clock=clock, every=BUDGETS_LOOK).run,
        **_notifications(ground, service),
    )
    return Loops(schedules=schedules, notary=notary, background=background)


def _notifications(ground: Ground, service: Service) -> dict[str, Callable[[], Awaitable[None]]]:
    """The loop that tells people what waits, where somebody wants that."""
    if not ground.settings.approvals.notify:
        return {}
    loop = NotificationLoop(
        ground.storage, _sender(ground), clock=ground.clock, page=service.approvals.page
    )
    return {"notifications": loop.run}


def _sender(ground: Ground) -> Sender:
    wanted = ground.settings.approvals
    if wanted.notify == "desktop":
        return Desktop()
    if not wanted.notify.startswith(("http://", "https://")):
        raise SetupError("approvals.notify must be `desktop` or the URL of a webhook")
    key = read_key("approvals.notify_key", wanted.notify_key, ground.environ, ground.settings.home)
    try:
        return Webhook(wanted.notify, key=key, networks=wanted.notify_networks, clock=ground.clock)
    except ValueError as error:
        raise SetupError(f"approvals.notify_networks: {error}") from error
