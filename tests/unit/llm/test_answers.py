"""What a model's answer becomes, whoever gave it."""

from stepwell.engine.messages import Usage
from stepwell.llm.answers import MAX_TOOLS, AnswerReader, parse_arguments
from stepwell.llm.port import ModelRequest
from stepwell.llm.provider import Endpoint
from stepwell.llm.tool_names import ToolNames


def test_arguments_nested_beyond_any_measure_are_a_problem_for_the_model() -> None:
    text = '{"a":' * 5000 + "1" + "}" * 5000

    arguments, problem = parse_arguments(text)

    assert arguments == {}
    assert problem.startswith('the arguments are nested too deeply: \'{"a":')


def test_of_ten_thousand_tools_the_model_is_told_which_were_left_out() -> None:
    request = ModelRequest(messages=())
    reader = AnswerReader(request, Endpoint(name="any"), ToolNames(request))
    for number in range(10_000):
        reader.tool("look", {"q": number}, given_id=str(number))

    *kept, last = reader.reply("tools", model="m", usage=Usage()).message.tools

    assert [tool.id for tool in kept] == [str(number) for number in range(MAX_TOOLS)]
    assert not any(tool.problem for tool in kept)
    assert (last.id, last.arguments) == ("128", {})
    assert last.problem.startswith("one answer may ask for 128 tools, this one and those after")
