"""`@resource` and `@prompt`: what a function says of itself, and how it is loaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from stepwell import prompt, resource
from stepwell.errors import AlreadyExists
from stepwell.tools.completion import parsed
from stepwell.tools.invoke import invoke
from stepwell.tools.loading import load_tools
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool
from stepwell.tools.python import declaration_of
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.shelf import Argument, PromptOffer, ResourceOffer, Shelf
from stepwell.tools.uris import is_uri, template

CONTEXT = CallContext(namespace="n", principal="p", run="r", step="s", attempt=1, key="k")

FILE = '''
from stepwell import Image, prompt, resource

@resource("test://static", mime="text/plain")
def static() -> str:
    """A text."""
    return "held"

@resource("test://{id}/data")
async def data(id: int) -> dict[str, int]:
    """Some data."""
    return {"id": id}

@prompt
def greet(name: str) -> str:
    """Greets.

    Args:
        name: Whom.
    """
    return f"Say hello to {name}."
'''


def offer_of(function: object) -> Any:
    declared = declaration_of(function)
    assert declared is not None
    return declared.offer


def test_a_resource_is_read_by_a_tool_that_only_reads() -> None:
    @resource("shop://orders/{id}{?lang}", title="Order", mime="application/json", priority=0.5)
    async def order(id: int, lang: Literal["en", "de"] = "en") -> dict[str, Any]:
        """One order."""
        return {"id": id, "lang": lang}

    offer = offer_of(order)
    assert isinstance(offer, ResourceOffer)
    assert (offer.name, offer.tool, offer.title) == ("order", "resource.order", "Order")
    assert offer.annotations == {"priority": 0.5}
    assert offer.template is not None
    assert offer.template.match("shop://orders/7?lang=de") == {"id": "7", "lang": "de"}
    declared = declaration_of(order)
    assert declared is not None
    assert (declared.spec.read_only, declared.spec.role) == (True, "resource")
    assert declared.spec.output_schema is None


@pytest.mark.anyio
async def test_the_values_of_a_literal_complete_an_argument() -> None:
    @prompt(complete={"who": lambda typed, others: [f"{typed}!", *others]})
    def greet(lang: Literal["en", "de"], who: str, loud: bool = False) -> str:
        """Greets."""
        return f"{lang} {who} {loud}"

    offer = offer_of(greet)
    assert isinstance(offer, PromptOffer)
    assert offer.arguments == (
        Argument(name="lang", required=True),
        Argument(name="who", required=True),
        Argument(name="loud"),
    )
    assert await offer.complete["lang"]("D", {}) == ["de"]
    assert await offer.complete["who"]("a", {"lang": "en"}) == ["a!", "lang"]
    assert await offer.complete["loud"]("", {}) == ["true", "false"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("orders/{id}", "is no URI"),
        ("shop://{id}/{id}", "twice"),
        ("shop://{id*}", "a variable is"),
        ("shop://{?id}/x", "nothing may follow"),
        ("shop://{other}", "names other"),
        ("shop://all", "does not name id"),
        ("stepwell://runs/{id}", "Stepwell's own"),
    ],
)
def test_a_uri_that_does_not_fit_its_function_is_refused(uri: str, said: str) -> None:
    with pytest.raises(TypeError, match=said):

        @resource(uri)
        async def order(id: str) -> str:
            """One order."""
            return id


def test_a_function_is_one_thing_only() -> None:
    with pytest.raises(TypeError, match="one function is"):

        @prompt
        @resource("a:b")
        async def both() -> str:
            """Both."""
            return ""


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "5", "5"),
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, "five", "five"),
        ({"type": "boolean"}, "true", True),
        ({"type": "array", "items": {"type": "integer"}}, "[1]", [1]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", None),
        ({"enum": ["1", "2"]}, "1", "1"),
    ],
)
def test_text_becomes_what_the_function_takes(
    schema: Mapping[str, Any], text: str, value: object
) -> None:
    assert parsed({"properties": {"a": schema}}, {"a": text}) == {"a": value}


@pytest.mark.anyio
async def test_what_a_file_offers_is_put_on_the_shelf(tmp_path: Path) -> None:
    (tmp_path / "offers.py").write_text(FILE)
    shelf, registry = Shelf(), ToolRegistry()

    async def calls() -> list[object]:
        async with ProcessPool(size=1) as processes:
            for tool in load_tools([str(tmp_path / "offers.py")], processes=processes, shelf=shelf):
                registry.add(tool)
            call: Callable[[str], Any] = registry.get
            static = await invoke(call("resource.static"), {}, CONTEXT)
            data = await invoke(call("resource.data"), {"id": 7}, CONTEXT)
            greet = await invoke(call("prompt.greet"), {"name": "Ada"}, CONTEXT)
        return [static.value, data.value, greet.value]

    static, data, greet = await calls()
    assert [one.uri for one in shelf.resources()] == ["test://static"]
    assert [one.uri for one in shelf.templates()] == ["test://{id}/data"]
    assert shelf.prompts()[0].arguments == (
        Argument(name="name", description="Whom.", required=True),
    )
    assert registry.published() == ()
    assert static == {"contents": [{"text": "held"}]}
    assert data == {"contents": [{"mimeType": "application/json", "text": '{"id":7}'}]}
    assert greet == {
        "messages": [
            {"role": "user", "content": {"type": "text", "text": "Say hello to Ada."}},
        ]
    }


@pytest.mark.parametrize(
    ("text", "uri", "values"),
    [
        ("x://{a}/{b}", "x://1/2", {"a": "1", "b": "2"}),
        ("x://{a}/{b}", "x://1/2/3", None),
        ("x://{+a}/raw", "x://1/raw/raw", {"a": "1/raw"}),
        ("x://{a}-{b}.txt{?c}", "x://1-2-3.txt?c=%20", {"a": "1", "b": "2-3", "c": " "}),
        ("x://{+a}/in/{b}", "x://1/2/in/3", {"a": "1/2", "b": "3"}),
        ("x://all", "x://all", {}),
    ],
)
def test_a_template_tells_what_its_variables_are(
    text: str, uri: str, values: dict[str, str] | None
) -> None:
    assert template(text).match(uri) == values


@pytest.mark.parametrize(
    "text", ["x:{a}-{b}-{c}-{d}-{e}-{f}!", "x:{+a}-{+b}-{+c}-{+d}-{+e}-{+f}!", "x:{+a}-{b}!"]
)
def test_no_template_of_a_server_takes_long_over_a_uri(text: str) -> None:
    assert template(text).match(f"x:{'a-' * 2000}") is None


@pytest.mark.parametrize("text", ["x://{a}{b}", "x://{+a}{b}", "x://{a}{?b}/c", "x://}{a}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|nothing may follow|a variable is"):
        template(text)


@pytest.mark.parametrize("text", ["x://a\u202eb", "x://a\x1b[2J", "x://a\u200bb", "x://a b", "x:"])
def test_a_uri_has_nothing_in_it_that_nobody_sees(text: str) -> None:
    assert not is_uri(text)


def test_no_server_takes_a_uri_that_a_template_of_ours_has() -> None:
    shelf = Shelf()
    orders, hers = template("shop://orders/{id}"), template("shop://orders/{a}")
    shelf.add(ResourceOffer(name="ours", tool="resource.ours", uri=orders.text, template=orders))
    exact = ResourceOffer(name="evil", tool="resource.evil", uri="shop://orders/7", owner="evil")
    wide = ResourceOffer(
        name="evil", tool="resource.evil", uri=hers.text, template=hers, owner="evil"
    )
    assert shelf.stock("evil", [exact, wide]) == (exact,)
    found = shelf.find("shop://orders/7")
    assert found is not None
    assert (found.offer.name, found.values) == ("ours", {"id": "7"})


def test_two_resources_of_one_uri_are_refused() -> None:
    shelf = Shelf()
    shelf.add(ResourceOffer(name="a", tool="resource.a", uri="a:b"))
    with pytest.raises(AlreadyExists, match="two resources are at a:b"):
        shelf.add(ResourceOffer(name="b", tool="resource.b", uri="a:b"))


def test_a_server_takes_nothing_that_is_of_another() -> None:
    shelf, heard = Shelf(), list[str]()
    shelf.add(ResourceOffer(name="a", tool="resource.a", uri="a:b"))
    shelf.listen(heard.append)
    theirs = ResourceOffer(name="x", tool="shop.resource", uri="x:y", owner="shop")
    stolen = ResourceOffer(name="x", tool="shop.resource", uri="a:b", owner="shop")
    ours = ResourceOffer(name="x", tool="shop.resource", uri="stepwell://runs", owner="shop")
    assert shelf.stock("shop", [theirs, stolen, ours]) == (stolen, ours)
    shelf.stock("shop", [theirs])
    assert heard == ["resources"]
    shelf.stock("shop", [])
    assert [one.uri for one in shelf.resources()] == ["a:b"]
    assert heard == ["resources", "resources"]
