"""Callers who want something of runs while all goes wrong: they change the course of a run.

Whatever they are told has happened is in the log. All but one of them mean no harm: what the
meddler does makes the outcome of a run another than that of the undisturbed one.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from msgspec import UNSET
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import MEDDLER, Account, Ledger
from tests.simulation.members import NAMESPACE, Member
from tests.simulation.script import Script

from stepwell.engine.events import Custom, RunPaused, RunResumed, StepScheduled
from stepwell.engine.graph import LoopNode, MapNode, SignalNode
from stepwell.engine.state import RunPhase
from stepwell.engine.subjects import ID_LENGTH, approval_id
from stepwell.errors import StepwellError
from stepwell.principals import Caller

CAROL = Caller(NAMESPACE, MEDDLER)
MOST_FORKS = 3
"""Forks of one world: each is a run more."""


class Callers:
    """Each of their wishes is a coroutine that finds a run for itself."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, script: Script, dice: random.Random
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._script = script
        self._dice = dice
        self._wishes = count()
        self._forks = 0

    def draw(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What they will want."""
        wishes = (
            self._cancel,
            self._pause,
            self._pause,
            self._publish,
            self._signal,
            self._signal,
            self._misjudge,
            self._consent,
            self._retry,
            self._retry,
            self._fork,
        )
        return self._dice.choices(wishes, k=self._dice.randint(0, 4))

    # --- wishes ---------------------------------------------------------------------------

    async def _cancel(self) -> None:
        account = self._anyone()
        if account is None:
            return
        run = account.state.run
        if await self._is_done(lambda it: it.controls.cancel_run(CAROL, run, "enough")):
            is_cancelled = account.state.phase is RunPhase.CANCELLED
            self._ledger.check(run, is_cancelled, "a cancel that is answered is committed")

    async def _pause(self) -> None:
        """Somebody pauses a run; somebody else lets it go on."""
        account = self._anyone()
        if account is None:
            return
        run, why = account.state.run, f"pause {next(self._wishes)}"
        if await self._is_done(lambda it: it.controls.pause_run(CAROL, run, why)):
            paused = any(isinstance(it, RunPaused) for it in account.events)
            self._ledger.check(run, paused, "a pause that is answered is committed")

    async def _publish(self) -> None:
        account = self._anyone()
        if account is None:
            return
        run, type = account.state.run, f"note {next(self._wishes)}"
        done = await self._is_done(lambda it: it.controls.publish_event(CAROL, run, type, None))
        notes = sum(isinstance(it, Custom) and it.type == type for it in account.events)
        self._ledger.check(run, notes <= 1, "a note is written once")
        self._ledger.check(run, notes == 1 or not done, "a note that is answered is committed")

    async def _signal(self) -> None:
        """A message that comes too early, too late, or twice."""
        account = self._anyone(lambda it: bool(_messages_of(it)))
        if account is None:
            return
        node = self._dice.choice(_messages_of(account))
        said = self._script.message(account.origin, node)
        if said is None:
            return
        run = account.state.run
        id = f"from carol {next(self._wishes)}" if self._dice.random() < 0.7 else ""
        for _ in range(self._dice.randint(1, 2)):
            done = await self._is_done(
                lambda it: it.controls.signal_run(CAROL, run, node.signal, said.value, id=id)
            )
            taken = not id or id in account.state.seen
            self._ledger.check(run, taken or not done, "a message that is answered is committed")

    async def _misjudge(self) -> None:
        """Somebody who knows it better answers for the others, or answers what nobody asked."""
        account = self._anyone()
        if account is None:
            return
        state = account.state
        step = self._dice.choice([*state.asking, *state.asking, *state.steps, "nowhere"])
        verdict = self._dice.choice(("approve", "deny", "done", "fail"))
        await self._is_done(
            lambda it: it.controls.resolve_step(CAROL, state.run, step, verdict, value="mine")
        )

    async def _consent(self) -> None:
        """Somebody answers about a call that is held, or was: the first answer counts."""
        account = self._anyone(lambda it: bool(it.answered or it.state.asking))
        if account is None:
            return
        state = account.state
        held = [ask.asked for id in state.asking for ask in state.steps[id].asks.values()]
        ids = [approval_id(state.run, it) for it in held if it.about == "call"]
        old = [subject[:ID_LENGTH] for subject in account.answered]
        if not ids and not old:
            return
        id = self._dice.choice([*ids, *ids, *ids, *old])
        verdict = self._dice.choice(("approve", "deny"))
        was_old = id in old
        done = await self._is_done(
            lambda it: it.approvals.decide(CAROL, id, verdict=verdict)  # type: ignore[arg-type]
        )
        self._ledger.check(state.run, not (done and was_old), "an old answer is refused")

    async def _retry(self) -> None:
        """Somebody takes a run up again, which has failed more often than not."""
        account = self._anyone(lambda it: it.state.phase is RunPhase.FAILED) or self._anyone()
        if account is None:
            return
        state = account.state
        steps = [state.failed_step, state.failed_step, *state.steps]
        step = self._dice.choice([it for it in steps if it] or ["nowhere"])
        before = len(account.events)
        if await self._is_done(lambda it: it.controls.retry_step(CAROL, state.run, step)):
            resumed = any(isinstance(it, RunResumed) for it in account.events[before:])
            self._ledger.check(state.run, resumed, "a retry that is answered is committed")

    async def _fork(self) -> None:
        account = self._anyone(lambda it: bool(it.scheduled))
        if account is None or self._forks >= MOST_FORKS:
            return
        self._forks += 1
        run = account.state.run
        known = [it.step for it in account.history if isinstance(it, StepScheduled)]
        step = self._dice.choice([*known, *known, *known, "nowhere"])
        is_edited = self._dice.random() < 0.4
        given = {"n": 7, "message": "another"} if is_edited else UNSET

        async def fork(member: Member) -> None:
            made, _ = await member.controls.fork_run(CAROL, run, step, input=given)
            self._ledger.check(run, made.id in self._ledger.accounts, "a fork is committed")

        await self._is_done(fork)

    # --- inside ---------------------------------------------------------------------------

    def _anyone(self, fits: Callable[[Account], bool] = lambda it: True) -> Account | None:
        """A run that is in the log, of those that fit."""
        accounts = self._ledger.accounts.values()
        known = [it for it in accounts if it.state.phase is not RunPhase.NEW and fits(it)]
        return self._dice.choice(known) if known else None

    async def _is_done(self, wish: Callable[[Member], Awaitable[object]]) -> bool:
        """Whether somebody who is still there has answered that it is so."""
        member = self._cluster.anyone()
        if member is None:
            return False
        gone = asyncio.ensure_future(member.gone.wait())
        asked = asyncio.ensure_future(wish(member))
        await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not asked.done() or member.link.is_cut:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            return False
        try:
            await asked
        except StepwellError:
            return False
        return True


def _messages_of(account: Account) -> list[SignalNode]:
    """What a run may wait for."""
    nodes = account.state.graph.nodes.values()
    leaves = [it.body if isinstance(it, MapNode | LoopNode) else it for it in nodes]
    return [it for it in leaves if isinstance(it, SignalNode)]
