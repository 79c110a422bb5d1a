"""Factors: a proof is a person's, for one subject, and counts once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pyotp
import pytest
from msgspec.structs import replace
from tests.unit.orchestrator.authenticator import Authenticator
from tests.unit.orchestrator.people import HandClock

from stepwell.errors import Code, DataDamaged, Denied, InvalidRequest, NotFound
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.factors import FactorKeeping
from stepwell.orchestrator.passkeys import Site
from stepwell.principals import LOCAL_AGENT, LOCAL_USER, Caller
from stepwell.vault.boxes import Boxes
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import ApiKeyRow

pytestmark = pytest.mark.anyio

ANN = Caller("default", "user:ann", "vouched")
BOB = Caller("default", "user:bob", "not vouched")
SITE = Site("http://localhost:7421")
SUBJECT, OTHER = "a" * 64, "b" * 64


class People:
    """The keeping of factors, with what is around it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.storage = MemoryStorage()
        self.keeping = self.process()

    def process(self) -> FactorKeeping:
        """One process that serves the database."""
        return FactorKeeping(
            self.storage,
            open_boxes=lambda: Boxes(b"k" * 32),
            site=SITE,
            clock=self.clock,
            audit=Audit(self.storage, self.clock),
        )

    def code(self, secret: str, *, later: int = 0) -> str:
        return pyotp.HOTP(secret).at(self.clock.now() // 30_000_000 + later)

    async def enrol(self, caller: Caller = LOCAL_USER) -> str:
        """Enrols an app; the code that was used for that is over. The result is its secret."""
        offer = await self.keeping.offer_totp(caller)
        await self.keeping.enrol_totp(caller, offer.ticket, self.code(offer.secret))
        self.clock.pass_(timedelta(minutes=2))
        return offer.secret

    async def deeds(self) -> list[tuple[str, str]]:
        """Who did what, as the audit log has it."""
        entries = await self.storage.audit.read("default")
        return [(entry.principal, entry.action) for entry in entries]

    async def enrol_passkey(self, caller: Caller = LOCAL_USER) -> Authenticator:
        device = Authenticator(SITE.origin)
        answer = device.create(await self.keeping.offer_passkey(caller))
        await self.keeping.enrol_passkey(caller, answer)
        return device

    async def assertion(self, device: Authenticator, subject: str = SUBJECT) -> Proof:
        question = await self.keeping.question(LOCAL_USER, subject)
        return Proof(kind="passkey", value=device.get(question))


@pytest.fixture
async def people() -> People:
    people = People()
    for id in ("vouched", "not vouched"):
        row = ApiKeyRow(id, "user:ann", "user", b"", "user:local", 1, is_vouched=id == "vouched")
        await people.storage.api_keys.add("default", row)
    return people


def shown(code: str) -> Proof:
    return Proof(kind="totp", value=code)


async def refused(asked: object, code: Code) -> str:
    with pytest.raises(Denied) as error:
        await asked  # type: ignore[misc]
    assert error.value.code is code
    return error.value.message


# --- one-time codes ---------------------------------------------------------------------------


async def test_a_code_of_the_app_proves_who_it_is(people: People) -> None:
    secret = await people.enrol()
    await people.keeping.verify(LOCAL_USER, shown(people.code(secret)), SUBJECT)
    [factor] = await people.keeping.list_factors(LOCAL_USER)
    assert (factor.kind, factor.used_at) == ("totp", people.clock.now())


@pytest.mark.parametrize("later", [-1, 1])
async def test_a_clock_may_be_half_a_minute_off(people: People, later: int) -> None:
    secret = await people.enrol()
    code = people.code(secret, later=later)
    await people.keeping.verify(LOCAL_USER, shown(f" {code[:3]} {code[3:]}"), SUBJECT)


@pytest.mark.parametrize("later", [-2, 2])
async def test_a_code_of_another_time_is_wrong(people: People, later: int) -> None:
    secret = await people.enrol()
    code = people.code(secret, later=later)
    await refused(people.keeping.verify(LOCAL_USER, shown(code), SUBJECT), Code.FACTOR_WRONG)


async def test_a_code_counts_once_however_many_try_at_once(people: People) -> None:
    secret = await people.enrol()
    code = shown(people.code(secret))
    processes = [people.process() for _ in range(4)]
    outcomes = await asyncio.gather(
        *(process.verify(LOCAL_USER, code, SUBJECT) for process in processes),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome] == [Denied] * 3
    await refused(people.keeping.verify(LOCAL_USER, code, OTHER), Code.FACTOR_WRONG)


async def test_the_code_of_the_enrolment_is_used_up(people: People) -> None:
    offer = await people.keeping.offer_totp(LOCAL_USER)
    code = people.code(offer.secret)
    await people.keeping.enrol_totp(LOCAL_USER, offer.ticket, code)
    await refused(people.keeping.verify(LOCAL_USER, shown(code), SUBJECT), Code.FACTOR_WRONG)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "000000' OR 1=1"])
async def test_what_is_no_code_is_wrong(people: People, code: str) -> None:
    await people.enrol()
    await refused(people.keeping.verify(LOCAL_USER, shown(code), SUBJECT), Code.FACTOR_WRONG)


async def test_the_factor_of_another_proves_nothing(people: People) -> None:
    await people.enrol()
    anns = await people.enrol(ANN)
    code = shown(people.code(anns))
    await refused(people.keeping.verify(LOCAL_USER, code, SUBJECT), Code.FACTOR_WRONG)
    elsewhere = Caller("team", "user:ann")
    await refused(people.keeping.verify(elsewhere, code, SUBJECT), Code.FACTOR_REQUIRED)


async def test_who_has_enrolled_nothing_proves_nothing(people: People) -> None:
    message = await refused(
        people.keeping.verify(LOCAL_USER, shown("123456"), SUBJECT), Code.FACTOR_REQUIRED
    )
    assert "stepwell factor enroll" in message
    await people.enrol()
    message = await refused(people.keeping.verify(LOCAL_USER, None, SUBJECT), Code.FACTOR_REQUIRED)
    assert "--code" in message
    await refused(people.keeping.verify(LOCAL_AGENT, shown("1"), SUBJECT), Code.FACTOR_REQUIRED)


async def test_guessing_ends_after_a_few_codes(people: People) -> None:
    secret = await people.enrol()
    guesses = [people.process().verify(LOCAL_USER, shown("000000"), SUBJECT) for _ in range(40)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, Denied)]
    assert codes.count(Code.FACTOR_WRONG) == 5
    assert codes.count(Code.FACTOR_LOCKED) == 35

    assert (await people.deeds())[1:] == [("user:local", "factor.lock")]
    right = shown(people.code(secret))
    message = await refused(people.keeping.verify(LOCAL_USER, right, SUBJECT), Code.FACTOR_LOCKED)
    assert "30 s" in message


async def test_after_each_wrong_code_the_wait_is_twice_as_long(people: People) -> None:
    secret = await people.enrol()
    for _ in range(5):
        await refused(people.keeping.verify(LOCAL_USER, shown("0"), SUBJECT), Code.FACTOR_WRONG)
    for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        people.clock.pass_(timedelta(seconds=seconds - 1))
        await refused(people.keeping.verify(LOCAL_USER, shown("0"), SUBJECT), Code.FACTOR_LOCKED)
        people.clock.pass_(timedelta(seconds=1))
        await refused(people.keeping.verify(LOCAL_USER, shown("0"), SUBJECT), Code.FACTOR_WRONG)

    people.clock.pass_(timedelta(hours=1))
    await people.keeping.verify(LOCAL_USER, shown(people.code(secret)), SUBJECT)
    people.clock.pass_(timedelta(minutes=1))
    await refused(people.keeping.verify(LOCAL_USER, shown("0"), SUBJECT), Code.FACTOR_WRONG)


async def test_a_passkey_works_while_codes_are_locked(people: People) -> None:
    device = await people.enrol_passkey()
    for _ in range(5):
        await refused(people.keeping.verify(LOCAL_USER, shown("0"), SUBJECT), Code.FACTOR_WRONG)
    await people.keeping.verify(LOCAL_USER, await people.assertion(device), SUBJECT)


# --- passkeys ---------------------------------------------------------------------------------


async def test_a_passkey_proves_who_it_is_for_one_subject_once(people: People) -> None:
    device = await people.enrol_passkey()
    proof = await people.assertion(device)
    await refused(people.keeping.verify(LOCAL_USER, proof, OTHER), Code.FACTOR_WRONG)
    await people.keeping.verify(LOCAL_USER, proof, SUBJECT)
    await refused(people.keeping.verify(LOCAL_USER, proof, SUBJECT), Code.FACTOR_WRONG)


async def test_a_passkey_that_counts_nothing_is_as_good(people: People) -> None:
    device = Authenticator(SITE.origin, counts=False)
    answer = device.create(await people.keeping.offer_passkey(LOCAL_USER))
    await people.keeping.enrol_passkey(LOCAL_USER, answer)
    for _ in range(2):
        proof = await people.assertion(device)
        await people.keeping.verify(LOCAL_USER, proof, SUBJECT)
        await refused(people.keeping.verify(LOCAL_USER, proof, SUBJECT), Code.FACTOR_WRONG)


def _another_site(device: Authenticator) -> None:
    device.origin = "http://localhost:9999"


def _another_relying_party(device: Authenticator) -> None:
    device.relying_party = "evil.example"


def _nobody_verified(device: Authenticator) -> None:
    device.verifies = False


def _copy(device: Authenticator) -> None:
    device.counter = 0


def _another_key(device: Authenticator) -> None:
    device.key = Authenticator(SITE.origin).key


@pytest.mark.parametrize(
    "spoil",
    [_another_site, _another_relying_party, _nobody_verified, _copy, _another_key],
)
async def test_an_answer_that_is_not_quite_right_is_wrong(
    people: People, spoil: Callable[[Authenticator], None]
) -> None:
    device = await people.enrol_passkey()
    await people.keeping.verify(LOCAL_USER, await people.assertion(device), SUBJECT)
    spoil(device)
    proof = await people.assertion(device)
    await refused(people.keeping.verify(LOCAL_USER, proof, SUBJECT), Code.FACTOR_WRONG)


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", "{" * 5000, "x" * 70_000, '{"id":1}'])
async def test_what_is_no_answer_is_wrong(people: People, answer: str) -> None:
    await people.enrol_passkey()
    proof = Proof(kind="passkey", value=answer)
    await refused(people.keeping.verify(LOCAL_USER, proof, SUBJECT), Code.FACTOR_WRONG)


async def test_a_question_is_answered_in_time(people: People) -> None:
    device = await people.enrol_passkey()
    proof = await people.assertion(device)
    people.clock.pass_(timedelta(minutes=11))
    await refused(people.keeping.verify(LOCAL_USER, proof, SUBJECT), Code.FACTOR_WRONG)


# --- enrolling --------------------------------------------------------------------------------


async def test_agents_enrol_nothing(people: People) -> None:
    for caller in (LOCAL_AGENT, Caller("default", "service:ci", "vouched")):
        await refused(people.keeping.offer_totp(caller), Code.POLICY_DENIED)
        await refused(people.keeping.offer_passkey(caller), Code.POLICY_DENIED)
        await refused(people.keeping.enrol_totp(caller, "", ""), Code.POLICY_DENIED)
        await refused(people.keeping.enrol_passkey(caller, ""), Code.POLICY_DENIED)
        await refused(people.keeping.remove(caller, "", proof=None), Code.POLICY_DENIED)


async def test_a_second_factor_takes_the_first(people: People) -> None:
    secret = await people.enrol()
    offer = await people.keeping.offer_totp(LOCAL_USER)
    new = people.code(offer.secret)
    await refused(people.keeping.enrol_totp(LOCAL_USER, offer.ticket, new), Code.FACTOR_REQUIRED)
    await refused(
        people.keeping.enrol_totp(LOCAL_USER, offer.ticket, new, proof=shown(new)),
        Code.FACTOR_WRONG,
    )
    await people.keeping.enrol_totp(
        LOCAL_USER, offer.ticket, new, label="tablet", proof=shown(people.code(secret))
    )
    labels = [factor.label for factor in await people.keeping.list_factors(LOCAL_USER)]
    assert labels == ["authenticator app", "tablet"]
    assert await people.deeds() == [("user:local", "factor.enrol")] * 2


async def test_an_enrolment_is_finished_once_by_who_began_it(people: People) -> None:
    offer = await people.keeping.offer_totp(LOCAL_USER)
    code = people.code(offer.secret)
    with pytest.raises(InvalidRequest):
        await people.keeping.enrol_totp(ANN, offer.ticket, code)
    with pytest.raises(InvalidRequest):
        await people.keeping.enrol_totp(LOCAL_USER, "00" + offer.ticket, code)
    await people.keeping.enrol_totp(LOCAL_USER, offer.ticket, code)
    people.clock.pass_(timedelta(minutes=2))
    proof = shown(people.code(offer.secret))
    with pytest.raises(InvalidRequest):
        await people.keeping.enrol_totp(
            LOCAL_USER, offer.ticket, people.code(offer.secret), proof=proof
        )


async def test_an_enrolment_is_finished_in_time(people: People) -> None:
    offer = await people.keeping.offer_totp(LOCAL_USER)
    people.clock.pass_(timedelta(minutes=11))
    with pytest.raises(InvalidRequest):
        await people.keeping.enrol_totp(LOCAL_USER, offer.ticket, people.code(offer.secret))


async def test_a_wrong_code_enrols_nothing_and_may_be_corrected(people: People) -> None:
    offer = await people.keeping.offer_totp(LOCAL_USER)
    await refused(people.keeping.enrol_totp(LOCAL_USER, offer.ticket, "000000"), Code.FACTOR_WRONG)
    assert not await people.keeping.is_enrolled(LOCAL_USER)
    await people.keeping.enrol_totp(LOCAL_USER, offer.ticket, people.code(offer.secret))
    assert await people.keeping.is_enrolled(LOCAL_USER)


async def test_once_others_have_factors_a_new_user_is_vouched_for(people: People) -> None:
    """Else whoever can read the owner's token would make himself another user, and approve as that."""
    await people.enrol(ANN)
    for caller in (BOB, LOCAL_USER, Caller("default", "user:carl")):
        message = await refused(people.keeping.offer_totp(caller), Code.POLICY_DENIED)
        assert "stepwell key create --code" in message
    await people.enrol(Caller("default", "user:bob", "vouched"))
    await people.enrol(Caller("team", "user:carl"))


async def test_removing_takes_a_proof_for_just_that(people: People) -> None:
    secret = await people.enrol()
    device_owner = await people.keeping.list_factors(LOCAL_USER)
    [factor] = device_owner
    await refused(people.keeping.remove(LOCAL_USER, factor.id, proof=None), Code.FACTOR_REQUIRED)
    with pytest.raises(NotFound):
        await people.keeping.remove(LOCAL_USER, "f", proof=shown(people.code(secret)))
    people.clock.pass_(timedelta(minutes=1))
    await people.keeping.remove(LOCAL_USER, factor.id, proof=shown(people.code(secret)))
    assert await people.keeping.list_factors(LOCAL_USER) == ()
    assert (await people.deeds())[-1] == ("user:local", "factor.remove")


async def test_the_store_has_no_secret_and_takes_no_row_of_another(people: People) -> None:
    secret = await people.enrol()
    [row] = await people.storage.factors.list("default")
    assert secret.encode() not in row.secret

    await people.storage.factors.remove("default", "user:local", row.id)
    stolen = replace(row, principal="user:ann")
    await people.storage.factors.add("default", stolen)
    with pytest.raises(DataDamaged, match="its row was changed"):
        await people.keeping.verify(ANN, shown(people.code(secret)), SUBJECT)
