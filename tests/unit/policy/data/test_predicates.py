"""Row filters are written anew for a table and a principal."""

import pytest
from tests.unit.policy.data.shop import shop

from stepwell.policy.data.binding import Unbound, bound
from stepwell.policy.data.predicates import read_predicate


def written(text: str, dialect: str = "sqlite", **known: str) -> str:
    predicate, mistakes = read_predicate(text)
    assert predicate is not None, mistakes
    attributes = {name: tuple(texts.split("|")) for name, texts in known.items()}
    return bound(predicate, shop().tables["customers"], attributes, dialect)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("tenant_id = principal.tenant", '("tenant_id" = 42)'),
        ("principal.tenant = TENANT_ID", '(42 = "tenant_id")'),
        ("tenant_id in (principal.many, 7)", '("tenant_id" IN (1, 2, 7))'),
        ("tenant_id not in (1)", '(NOT ("tenant_id" IN (1)))'),
        ("region = principal.evil", "(\"region\" = ''' or 1=1 --')"),
        ("lower(region) = principal.tenant", "(lower(\"region\") = '42')"),
        ("length(region) = principal.tenant", '(length("region") = 42)'),
        ("coalesce(tenant_id, 0) = principal.tenant", '(coalesce("tenant_id", 0) = 42)'),
        ("region is not null and vip is true", '(("region" IS NOT NULL) AND ("vip" IS TRUE))'),
        ("not (vip or region not like 'x%')", '(NOT ("vip" OR ("region" NOT LIKE \'x%\')))'),
        ("tenant_id between -1.5 and 2", '("tenant_id" BETWEEN -1.5 AND 2)'),
        ("vip = principal.flag", '("vip" = TRUE)'),
        ("principal.tenant = 42", "(42 = 42)"),
        ("principal.evil = 'x' -- why", "(''' or 1=1 --' = 'x')"),
        ("vip", '"vip"'),
    ],
)
def test_a_predicate_becomes_sql(text: str, sql: str) -> None:
    known = {"tenant": "42", "many": "1|2", "evil": "' or 1=1 --", "flag": "true"}
    assert written(text, **known) == sql


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tenant_id = principal.evil", "does not fit what it is compared with (integer)"),
        ("vip = principal.evil", "does not fit what it is compared with (boolean)"),
        ("region = principal.zero", "does not fit what it is compared with (text)"),
        ("tenant_id = principal.gone", "the principal has no attribute gone"),
        ("nothing = 1", "there is no column nothing"),
        ("region = principal.many", "there is more than one many"),
    ],
)
def test_what_cannot_be_applied_is_told(text: str, why: str) -> None:
    with pytest.raises(Unbound, match=r".*") as error:
        written(text, evil="1 or 1=1", zero="a\x00b", many="1|2")
    assert why in str(error.value)
