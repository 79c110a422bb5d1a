"""The effects of one worker on the scripted world, and what it notes of each call."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from tests.simulation.governor import TIME_TO_ANSWER, withheld
from tests.simulation.script import ModelPlan, Script, ToolPlan

from stepwell.agents.requests import new_messages
from stepwell.clock import Clock
from stepwell.engine.commands import CallModel, CallTool
from stepwell.engine.inputs import (
    Asked,
    AskQuestions,
    CallDenied,
    Input,
    ModelAnswered,
    ToolAnswered,
    ToolBegun,
)
from stepwell.engine.state import RunState
from stepwell.engine.values import Data
from stepwell.orchestrator.effects import AskRun, Begin


class PlannedDefect(Exception):
    """A defect of ours on the way to a tool, on purpose."""


class Witness(Protocol):
    """Sees every call that is really made."""

    def asked(self, state: RunState, command: CallModel) -> None:
        """A model is asked."""
        ...

    def made(self, state: RunState, command: CallTool, *, may_repeat: bool) -> None:
        """A tool begins to act."""
        ...


class ScriptedEffects:
    """Carries out commands as the script has it; every report is noted with `on_report`."""

    def __init__(
        self,
        script: Script,
        *,
        clock: Clock,
        witness: Witness,
        origin: Callable[[str], str],
        is_cut: Callable[[], bool],
        on_report: Callable[[str, Input], None],
    ) -> None:
        """`is_cut` tells that the process of this worker is gone: then nothing acts any more.

        `origin` is the run whose script a run follows.
        """
        self._script = script
        self._origin = origin
        self._clock = clock
        self._witness = witness
        self._is_cut = is_cut
        self._on_report = on_report

    async def call_model(self, namespace: str, state: RunState, command: CallModel) -> Input | None:
        plan = self._script.model(self._origin(state.run), state, command)
        messages = new_messages(state.steps[command.step])
        self._witness.asked(state, command)
        await asyncio.sleep(plan.delay)
        return self._report(state.run, model_report(command, plan, messages, self._clock.now()))

    async def call_tool(
        self, namespace: str, state: RunState, command: CallTool, begin: Begin, ask: AskRun
    ) -> Input | None:
        plan = self._script.tool(self._origin(state.run), command)
        put_off = withheld(self._script, state, command, plan, self._clock.now())
        if put_off is not None:
            return self._report(state.run, put_off)
        is_called = not plan.is_denied and (plan.result is not None or plan.delay > 0)
        if is_called:
            if not plan.may_repeat and not await begin("allow: rule"):
                return None
            if plan.asks:
                await self._ask(state, command, plan, ask)
            if self._is_cut():
                await asyncio.Future()
            self._witness.made(state, command, may_repeat=plan.may_repeat)
            await asyncio.sleep(plan.delay)
        if plan.breaks:
            raise PlannedDefect
        return self._report(state.run, tool_report(command, plan, self._clock.now()))

    async def _ask(self, state: RunState, command: CallTool, plan: ToolPlan, ask: AskRun) -> None:
        """Asks what the tool asks, and looks whether the answers are those that were given."""
        given = questions_of(state.run, command, plan, self._clock.now())
        answers = await ask(given.questions, None if plan.may_repeat else "allow: rule")
        for key, answer in answers.items():
            said = self._script.reply(self._origin(state.run), command.key, key)
            if answer.by:
                assert said is not None, f"nobody answers {key}"
                accepted = said.value if said.verdict == "accept" else None
                assert (answer.action, answer.content.value) == (said.verdict, accepted)

    def _report(self, run: str, given: Input) -> Input:
        self._on_report(run, given)
        return given


def tool_report(command: CallTool, plan: ToolPlan, at: int) -> Input:
    """What the run is told of a tool call."""
    if plan.is_denied:
        return CallDenied(
            at=at,
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            rules=("rule",),
            reason="not for you",
            withheld=command.withheld,
        )
    return ToolAnswered(
        at=at,
        step=command.step,
        attempt=command.attempt,
        call=command.call,
        result=plan.result,
        failure=plan.failure,
    )


def model_report(command: CallModel, plan: ModelPlan, messages: Data, at: int) -> Input:
    """What the run is told of a model call."""
    return ModelAnswered(
        at=at,
        step=command.step,
        attempt=command.attempt,
        call=command.call,
        model="fake:scripted",
        messages=messages,
        answer=plan.answer,
        failure=plan.failure,
    )


def questions_of(run: str, command: CallTool, plan: ToolPlan, now: int) -> AskQuestions:
    """What a tool asks before it acts."""
    asked = tuple(
        Asked(
            key=key,
            id=f"{run}/{command.key}/{key}/{now}",
            question=Data(value={"message": f"{key}?"}),
            expires_at=now + TIME_TO_ANSWER,
        )
        for key in plan.asks
    )
    return AskQuestions(
        at=now, step=command.step, attempt=command.attempt, call=command.call, questions=asked
    )


def begun_report(command: CallTool, at: int) -> Input:
    """What the run is told before a call that may not be repeated."""
    return ToolBegun(at=at, step=command.step, attempt=command.attempt, call=command.call)
