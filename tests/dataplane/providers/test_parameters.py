"""Parameters that a model does not know: left out, refused or passed on, as its policy says."""

from collections.abc import Iterator

import pytest

from tests.dataplane.providers.anthropic_wire import Anthropic
from tests.dataplane.providers.ollama_wire import Ollama
from tests.dataplane.providers.openai_wire import Azure, OpenAI
from tests.dataplane.providers.wire import Json, Server, Wire, serving
from tests.dataplane.providers.wires import speaking, streamed
from tollway_api.routing_policy import UnknownParameters
from tollway_dataplane.errors import UpstreamFault
from tollway_dataplane.ports import UpstreamCall

# LiteLLM and what it imports warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
# A provider, one of its models, what a caller sends, and what of that the model does not know.
UNKNOWN: list[tuple[Wire, str, Json, set[str]]] = [
    (OpenAI(), "o3", {"temperature": 0.2, "seed": 3, "stop": ["x"]}, {"temperature", "stop"}),
    (Azure(), "azure/gpt-4o", {"temperature": 0.2, "seed": 3, "made_up": 1}, set()),
    (Azure(deployment="gpt-5"), "azure/gpt-5", {"temperature": 0.2, "seed": 3}, {"temperature"}),
    (
        Anthropic(),
        "anthropic/claude-haiku-4-5",
        {"seed": 3, "logprobs": True, "made_up": 1, "metadata": {"user_id": "u"}, "temperature": 0.2},
        {"seed", "logprobs", "made_up"},
    ),
    (Ollama(), "ollama/llama3.2", {"frequency_penalty": 0.5, "seed": 3}, {"frequency_penalty"}),
]


@pytest.fixture(params=UNKNOWN, ids=lambda case: case[1])
def case(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str, Json, set[str]]]:
    wire, model, fields, unknown = request.param
    with serving(wire) as server:
        yield server, model, fields, unknown


async def asked(server: Server, call: UpstreamCall, *, stream: bool = False) -> None:
    async with speaking(server.wire.model.protocol) as upstream:
        await (streamed(upstream, call) if stream else upstream.complete(call))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_they_are_left_out_and_named(case: tuple[Server, str, Json, set[str]], stream: bool) -> None:
    server, model, fields, unknown = case
    call = server.call(fields, upstream_id=model)
    await asked(server, call, stream=stream)
    assert call.left_out == unknown
    (seen,) = server.seen
    sent = str(seen.body)
    assert [name for name in unknown if f"'{name}'" in sent] == []
    assert "repeat_penalty" not in sent
    assert " 90" in sent, "the bound on the answer stands, whatever it is called"


async def test_they_are_refused_where_the_policy_says_so(case: tuple[Server, str, Json, set[str]]) -> None:
    server, model, fields, unknown = case
    call = server.call(fields, upstream_id=model, unknown_parameters=UnknownParameters.REFUSE)
    if not unknown:
        await asked(server, call)
        return
    with pytest.raises(UpstreamFault) as caught:
        await asked(server, call)
    assert (caught.value.trigger, caught.value.status) == (None, None)
    assert caught.value.message == f"the model m does not know {', '.join(sorted(unknown))}; leave that out"
    assert not server.seen


async def test_openais_are_passed_on_where_the_policy_says_so(
    case: tuple[Server, str, Json, set[str]],
) -> None:
    """What the provider says to them is between it and the caller."""
    server, model, fields, unknown = case
    call = server.call(fields, upstream_id=model, unknown_parameters=UnknownParameters.PASS)
    await asked(server, call)
    (seen,) = server.seen
    sent = str(seen.body)
    foreign = {"made_up"} & unknown
    assert call.left_out == foreign
    renamed = {"frequency_penalty": "repeat_penalty"} if isinstance(server.wire, Ollama) else {}
    assert [name for name in unknown - foreign if f"'{renamed.get(name, name)}'" not in sent] == []


@pytest.mark.parametrize("rule", UnknownParameters)
@pytest.mark.parametrize(
    "bounds", [{"max_tokens": 40}, {"max_tokens": 40, "max_completion_tokens": None}], ids=["one", "a null"]
)
async def test_the_bound_on_an_answer_has_the_name_that_the_model_knows_whatever_the_policy_says(
    bounds: Json, rule: UnknownParameters
) -> None:
    with serving(OpenAI()) as server:
        await asked(server, server.call(bounds, upstream_id="o3-mini", unknown_parameters=rule))
        (seen,) = server.seen
    assert (seen.body.get("max_completion_tokens"), seen.body.get("max_tokens")) == (40, None)


async def test_what_the_policy_itself_adds_is_no_callers_mistake() -> None:
    with serving(Anthropic()) as server:
        call = server.call(extra_body={"seed": 3}, unknown_parameters=UnknownParameters.REFUSE)
        await asked(server, call)
        assert "seed" not in server.seen[0].body
