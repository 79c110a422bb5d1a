"""Mistakes in policies: told all at once, each with its place and what would be right."""

import pytest
from tests.unit.policy.saying import POST, REFUND, problems

from stepwell.policy.problems import render
from stepwell.policy.read import MAX_UNBOUND, read_policy, type_problems
from stepwell.policy.source import MAX_NESTING, MAX_RULE, MAX_RULES, PolicyFile


def told(text: str) -> str:
    return render(problems(text))


def test_a_misspelt_argument_has_file_line_caret_and_the_nearest_name() -> None:
    assert (
        told(
            '@id("big")\n'
            'forbid(principal, action == Action::"pay.refund", resource)\n'
            "when { context.input.amont > 500 };"
        )
        == 'rules.cedar:3:22: attribute `input.amont` in context for Action::"pay.refund" not found; '
        "did you mean `amount`?\n"
        "    when { context.input.amont > 500 };\n"
        "                         ^^^^^"
    )


def test_a_type_error_is_shown_where_it_is() -> None:
    assert (
        told(
            '@id("a") forbid(principal, action == Action::"pay.refund", resource)\n'
            'when { context.approved && context.input.amount > "500" };'
        )
        == "rules.cedar:2:28: unexpected type: expected Long but saw String\n"
        '    when { context.approved && context.input.amount > "500" };\n'
        "                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '@id("a") permit(principal, action == Action::"pay.refnd", resource);',
            '1:46: unrecognized action `Action::"pay.refnd"`; did you mean `pay.refund`?',
        ),
        (
            '@id("a") permit(principal == Usr::"ann", action, resource);',
            "1:30: unrecognized entity type `Usr`; did you mean `User`?",
        ),
        (
            '@id("a") forbid(principal, action, resource) when { resource.label.contains("x") };',
            "1:62: attribute `label` on entity type `Tool` not found; did you mean `labels`?",
        ),
        (
            '@id("a") forbid(principal, action, resource) when { context.usage.calls_rn > 1 };',
            ("1:67: attribute `usage.calls_rn` in context not found; did you mean `calls_run`?"),
        ),
        (
            (
                '@id("a") forbid(principal, action == Action::"pay.refund", resource) '
                'when { context.input.to == "x" };'
            ),
            (
                "1:91: unable to guarantee safety of access to optional attribute `input.to` in context "
                'for Action::"pay.refund"; it may be missing; ask for it first: context.input has to && '
                "..."
            ),
        ),
        (
            '@id("a") forbid(principal, action, resource) when { context.input has amnt };',
            "1:71: attribute `input.amnt` in context not found; did you mean `amount`?",
        ),
        (
            '@id("a") forbid(principal, action, resource) when { context.input has either };',
            (
                "1:71: attribute `input.either` in context not found; rules cannot see it: it may be of "
                "more than one type"
            ),
        ),
        (
            (
                '@id("a") forbid(principal, action == Action::"pay.refund", resource) '
                'when { context.input.speed == "fats" };'
            ),
            "1:100: speed is never 'fats'; did you mean `fast`?",
        ),
        (
            "permit(principal, action, resource);",
            (
                '1:1: the rule has no id; write @id("...") before it: decisions and events name rules by '
                "it"
            ),
        ),
        (
            '@id("Big one") permit(principal, action, resource);',
            (
                "1:2: @id: 'Big one' cannot be the id of a rule: 1 to 128 of a-z 0-9 _ . - beginning "
                "with a letter"
            ),
        ),
        (
            '@id("tools") permit(principal, action, resource);',
            "1:2: @id: 'tools' is the id of a rule of Stepwell's own; take another one",
        ),
        (
            '@id("a") @efect("deny") forbid(principal, action, resource);',
            "1:11: there is no annotation @efect; did you mean `effect`?",
        ),
        (
            '@id("a") @effect("ask") forbid(principal, action, resource);',
            "1:11: @effect: it must be deny or require_approval or throttle, it is 'ask'",
        ),
        (
            '@id("a") @effect("deny") permit(principal, action, resource);',
            (
                "1:11: @effect says nothing of a permit; a forbid holds a call back, a permit lets it "
                "pass"
            ),
        ),
        (
            '@id("a") @group("x") forbid(principal, action, resource);',
            '1:11: @group says nothing here; it belongs to a forbid with @effect("require_approval")',
        ),
        (
            '@id("a") @effect("throttle") @retry("soon") forbid(principal, action, resource);',
            "1:31: @retry: 'soon' is not a duration; write it like 500ms, 30s or 1h30m",
        ),
        (
            '@id("a") permit(principal in ?principal, action, resource);',
            "1:10: it has a ?slot, and nobody fills it; name the principal or the resource",
        ),
        (
            '@id("a") permit(principal, action resource);',
            "1:35: unexpected token `resource`",
        ),
        (
            '@id("a") permit(principal, action, resource) whn { true };',
            "1:46: invalid policy condition: whn; did you mean `when`?",
        ),
        (
            '@id("a") permit(principal, action, resource)',
            "1:44: unexpected end of input; a rule ends with a semicolon",
        ),
        (
            '@id("a") permit(principal, action, resource) when { "open };',
            "1:53: invalid token",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_near(text: str, said: str) -> None:
    assert [str(problem) for problem in problems(text)] == [f"rules.cedar:{said}"]


def test_all_mistakes_of_all_files_are_told_at_once() -> None:
    reading = read_policy(
        [
            PolicyFile("a.cedar", '@id("x") permit(principal, action, resource) whn { true };'),
            PolicyFile("b.cedar", 'permit(principal, action, resource);\n@id("y") forbid();'),
            PolicyFile("c.cedar", '@id("z") permit(principal, action, resource);'),
            PolicyFile("d.cedar", '@id("z") permit(principal, action, resource);'),
        ]
    )
    assert [(one.file, one.line) for one in reading.problems] == [
        ("a.cedar", 1),
        ("b.cedar", 1),
        ("b.cedar", 2),
        ("d.cedar", 1),
    ]
    assert reading.problems[-1].message == "the id z is taken by the rule in c.cedar:1"


def test_what_would_end_the_process_never_reaches_cedar() -> None:
    deep = "(" * 5000 + "true" + ")" * 5000
    (found,) = problems(f'@id("a") permit(principal, action, resource) when {{ {deep} }};')
    assert found.message == f"the rule has more than {MAX_RULE} words and signs"

    deep = "[" * 1500 + "1" + "]" * 1500
    (found,) = problems(f'@id("a") permit(principal, action, resource) when {{ {deep} == 1 }};')
    assert found.message == f"there are more than {MAX_NESTING} brackets inside one another"
    # A comment ends with a carriage return, too: nothing can hide behind one.
    hidden = f'@id("a") permit(principal, action, resource) when {{ // \r {deep} == 1 }};'
    assert problems(hidden) == (found,) or "brackets" in problems(hidden)[0].message


def test_more_conditions_than_cedar_can_hold_are_told_in_our_words() -> None:
    many = " && ".join(["context.approved"] * 300)
    (found,) = problems(f'@id("a") permit(principal, action, resource) when {{ {many} }};')
    assert str(found) == (
        "rules.cedar:1:10: the rule is nested too deeply, or has too many && and ||; compare with a "
        "set ([...].contains), or write more rules"
    )


def test_ten_thousand_rules_are_read_and_one_more_is_refused() -> None:
    def rules(count: int) -> str:
        return "\n".join(
            f'@id("r{number}") forbid(principal, action == Action::"pay.refund", resource) '
            f"when {{ context.input.amount == {number} }};"
            for number in range(count)
        )

    reading = read_policy([PolicyFile("a.cedar", rules(MAX_RULES))])
    assert len(reading.rules) == MAX_RULES
    assert not type_problems(reading, [REFUND])
    (found,) = problems(rules(MAX_RULES + 1))
    assert found.message == "there are 10001 rules, the limit is 10000"


def test_rules_that_name_no_action_are_few() -> None:
    text = "\n".join(
        f'@id("r{number}") permit(principal, action, resource);'
        for number in range(MAX_UNBOUND + 1)
    )
    (found,) = problems(text)
    assert (found.line, found.hint) == (MAX_UNBOUND + 1, 'name the tool: action == Action::"..."')


def test_a_tool_that_shows_nothing_says_so_to_whoever_writes_a_rule_about_it() -> None:
    large = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(600)}}
    tool = type(POST)(name="big", description="", input_schema=large)
    text = '@id("a") forbid(principal, action == Action::"big", resource) when { context.input.p1 == "x" };'
    (found,) = type_problems(read_policy([PolicyFile("a.cedar", text)]), [tool])
    assert found.hint == (
        "rules cannot see it: the tool has more than 500 named values, so rules see none of them"
    )
