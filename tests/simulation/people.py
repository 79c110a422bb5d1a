"""The people of a world: they answer what runs wait for, as the script has it, until it is taken.

Whatever a run waits for comes in the end, whoever owns the run and whatever happens to those who
are told. So no run has a reason to be stuck.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

from tests.simulation.calm import BECAUSE, PERSON
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import Account, Ledger
from tests.simulation.members import NAMESPACE, Member
from tests.simulation.script import Reaction, Script

from stepwell.engine.events import QuestionAsked
from stepwell.engine.graph import SignalNode
from stepwell.engine.state import Ask, StepState
from stepwell.engine.subjects import approval_id
from stepwell.errors import StepwellError
from stepwell.orchestrator.approvals import Approvals
from stepwell.orchestrator.questions import Questions
from stepwell.principals import Caller

BOB = Caller(NAMESPACE, PERSON)
AGAIN = 2.0
"""Virtual seconds after which somebody says it again who was not heard."""
LONGEST_PAUSE = 30.0


class People:
    """Whoever is asked, and whoever lets a run go on that was paused."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, script: Script, dice: random.Random
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._script = script
        self._dice = dice
        self._busy: dict[tuple[str, ...], asyncio.Task[None] | None] = {}
        """What somebody is about to say; None is what nobody will ever say."""
        self._repeated: set[tuple[str, ...]] = set()
        """Calls that somebody let be made again."""

    def notice(self, run: str) -> None:
        """Looks at a run in whose log something was written."""
        account = self._ledger.accounts[run]
        state = account.state
        if state.has_ended:
            return
        if state.is_paused and (run,) not in self._busy:
            self._begin((run,), self._let_go_on(account))
        for id in state.asking:
            step = state.steps[id]
            for call in step.asks:
                question = run, id, str(step.attempt), call
                if question not in self._busy:
                    self._begin(question, self._answer(account, step, call, question))
        for id in state.questioning:
            for asked in state.steps[id].open_questions:
                if (run, asked.asked.id) not in self._busy:
                    self._begin((run, asked.asked.id), self._reply(account, asked.asked))
        for steps in state.listening.values():
            for id in steps:
                if (run, id) not in self._busy:
                    self._begin((run, id), self._send(account, state.steps[id]))

    def _begin(self, key: tuple[str, ...], work: Awaitable[None] | None) -> None:
        if work is None:
            self._busy[key] = None
            return
        task = self._busy[key] = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._busy.pop(key))

    # --- what they do ---------------------------------------------------------------------

    def _let_go_on(self, account: Account) -> Awaitable[None]:
        state = account.state
        return self._say(
            self._dice.uniform(0, LONGEST_PAUSE),
            lambda: state.is_paused and not state.has_ended,
            lambda member: member.controls.resume_run(BOB, state.run),
        )

    def _send(self, account: Account, step: StepState) -> Awaitable[None] | None:
        node, state = step.spec, account.state
        assert isinstance(node, SignalNode)
        said = self._script.message(account.origin, node)
        if said is None:
            return None
        has_ids, sent = self._dice.random() < 0.5, 0

        async def send(member: Member) -> None:
            """One that was not answered is sent again as the same; else it is another."""
            nonlocal sent
            id = f"{sent} to {step.id} of {state.run}" if has_ids else ""
            await member.controls.signal_run(BOB, state.run, node.signal, said.value, id=id)
            sent += 1

        return self._say(
            said.delay,
            lambda: step.id in state.listening.get(node.signal, ()) and not state.has_ended,
            send,
        )

    def _answer(
        self, account: Account, step: StepState, call: str, question: tuple[str, ...]
    ) -> Awaitable[None] | None:
        state, asked = account.state, step.asks[call].call
        said: Reaction | None
        if step.asks[call].about == "call":
            return self._consent(account, step, step.asks[call])
        if asked is None:
            said = self._script.approval(account.origin, step)
        else:
            said = self._script.outcome(account.origin, step, asked)
            if question not in self._repeated and self._dice.random() < 0.25:
                self._repeated.add(question)
                said = Reaction(delay=said.delay, verdict="retry")
        if said is None:
            return None

        def is_asked() -> bool:
            found = state.steps.get(step.id)
            is_open = found is not None and call in found.asks
            return is_open and step.id in state.asking and not state.has_ended

        async def say(member: Member) -> None:
            await member.controls.resolve_step(
                BOB, state.run, step.id, said.verdict, call=call, reason=BECAUSE, value=said.value
            )

        return self._say(said.delay, is_asked, say)

    def _consent(self, account: Account, step: StepState, ask: Ask) -> Awaitable[None] | None:
        """Says yes or no to a held call; now and then twice at once."""
        state, call = account.state, ask.call
        assert call is not None, "a call is held"
        said = self._script.consent(account.origin, call)
        if said is None:
            return None
        id, is_twice = approval_id(state.run, ask.asked), self._dice.random() < 0.3
        verdict: Literal["approve", "deny"] = "deny" if said.verdict == "deny" else "approve"

        def is_asked() -> bool:
            found = state.steps.get(step.id)
            is_open = found is not None and found.asks.get(call.call) is ask
            return is_open and step.id in state.asking and not state.has_ended

        async def say(approvals: Approvals) -> None:
            once = approvals.decide(BOB, id, verdict=verdict, reason=BECAUSE)
            if not is_twice:
                await once
                return
            again = approvals.decide(BOB, id, verdict=verdict, reason=BECAUSE)
            await asyncio.gather(once, again, return_exceptions=True)

        return self._say(said.delay, is_asked, lambda member: say(member.approvals))

    def _reply(self, account: Account, asked: QuestionAsked) -> Awaitable[None] | None:
        """Answers the question of a tool; now and then twice at once, and then but one is heard."""
        state = account.state
        call = f"{asked.step}/{asked.call}" if asked.call else asked.step
        said = self._script.reply(account.origin, call, asked.key)
        if said is None:
            return None
        value = said.value if said.verdict == "accept" else None
        is_twice = self._dice.random() < 0.3

        def is_asked() -> bool:
            found = state.steps.get(asked.step)
            is_open = found is not None and any(
                it.asked.id == asked.id for it in found.open_questions
            )
            return is_open and asked.step in state.questioning and not state.has_ended

        async def say(questions: Questions) -> None:
            answers = [
                questions.answer(BOB, state.run, asked.id, action=said.verdict, content=value)
                for _ in range(1 + is_twice)
            ]
            await asyncio.gather(*answers, return_exceptions=True)

        return self._say(said.delay, is_asked, lambda member: say(member.questions))

    async def _say(
        self,
        delay: float,
        is_wanted: Callable[[], bool],
        say: Callable[[Member], Awaitable[object]],
    ) -> None:
        """Says something after a while, to whoever is there, until it is not wanted any more."""
        await asyncio.sleep(delay)
        while is_wanted():
            member = self._cluster.anyone()
            if member is not None:
                with suppress(StepwellError):
                    await say(member)
            if is_wanted():
                await asyncio.sleep(AGAIN)
